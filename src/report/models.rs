use super::tree::Run;
use super::verdict::{Duel, Verdict};
use crate::{Error, Result};

/// The models that a report sets side by side.
pub struct Models<'a> {
    /// Runs first, then the rivals that ran with them.
    pub all: Vec<Model<'a>>,
    /// What a reader must know before setting them side by side, a sentence each.
    pub notes: Vec<String>,
}

/// One model of a report.
pub struct Model<'a> {
    /// Name, distinct within the report.
    pub label: String,
    /// Its results.
    pub run: &'a Run,
    /// Whether it ran as the rival of another.
    pub baseline: bool,
    /// The naive predictor that it is held against, a place in [`Models::all`].
    pub naive: Option<usize>,
    /// How it fares against it.
    pub verdict: Option<Verdict>,
    /// All that it is held against: of the first run the other runs, and of
    /// each run the rivals that ran with it and its naive predictor.
    pub rivals: Vec<Rival>,
    stem: String,
}

/// What a model is held against.
pub struct Rival {
    /// Its place in [`Models::all`].
    pub place: usize,
    /// How the model fares against it.
    pub verdict: Verdict,
}

impl<'a> Model<'a> {
    /// The rival with the highest mean R2 of a source and target, over the
    /// splits that it shares with the model, and how the model fares against it.
    pub fn best_rival(&self, source: &str, target: &str) -> Option<(usize, &Duel)> {
        let duels = self.rivals.iter().filter_map(|r| Some((r.place, r.verdict.duel(source, target)?)));
        duels.max_by(|a, b| a.1.rival.total_cmp(&b.1.rival))
    }

    fn new(label: String, run: &'a Run, baseline: bool) -> Self {
        Self { label, run, baseline, naive: None, verdict: None, rivals: Vec::new(), stem: String::new() }
    }

    /// The label in file names, distinct within the report. `_` becomes `-`
    /// because the readers of `<model>_<met>_G_mean.csv` cut the name at the
    /// first `_`.
    pub fn file_stem(&self) -> &str {
        &self.stem
    }
}

impl<'a> Models<'a> {
    /// The models of `runs`. Runs whose models have one name get their folder's
    /// name added. A rival that several runs have keeps its name once where the
    /// scores are the same, and gets the folder's name added where they differ. Each is held against the mean effects of its own run, else
    /// against those of another run of the same endpoint that shares a split.
    pub fn of(runs: &'a [Run]) -> Self {
        let mut all: Vec<Model<'a>> = Vec::new();
        for run in runs {
            let alone = runs.iter().filter(|other| other.model == run.model).count() == 1;
            let label = if alone { distinct(&all, run, run) } else { in_folder(&all, run, run) };
            all.push(Model::new(label, run, false));
        }
        let mut held: Vec<Vec<usize>> = vec![Vec::new(); all.len()];
        if let Some(first) = held.first_mut() {
            first.extend(1..all.len());
        }
        for (r, run) in runs.iter().enumerate() {
            for rival in &run.baselines {
                let same = all.iter().position(|m| m.run.model == rival.model && same_scores(m.run, rival));
                let place = same.unwrap_or_else(|| {
                    let label = distinct(&all, rival, run);
                    all.push(Model::new(label, rival, true));
                    all.len() - 1
                });
                held[r].push(place);
                if is_naive(rival) {
                    all[r].naive = Some(place);
                }
            }
        }
        for i in 0..all.len() {
            let run = all[i].run;
            let shared = |m: &Model| m.run.splits.iter().any(|split| run.splits.contains(split));
            let like = |m: &Model| is_naive(m.run) && same_endpoint(m.run, run) && shared(m);
            let naive = all[i].naive.or_else(|| all.iter().position(like)).filter(|_| !is_naive(run));
            all[i].verdict = naive.map(|naive| Verdict::of(run, all[naive].run));
            all[i].naive = naive;
            let mut places = held.get_mut(i).map(std::mem::take).unwrap_or_default();
            places.extend(naive.filter(|_| !all[i].baseline));
            let mut rivals: Vec<Rival> = Vec::new();
            for place in places {
                if place != i && rivals.iter().all(|r| r.place != place) {
                    rivals.push(Rival { place, verdict: Verdict::of(run, all[place].run) });
                }
            }
            all[i].rivals = rivals;
            let stem = stem(&all[i].label);
            let taken = |stem: &str| all[..i].iter().any(|m| m.stem == stem);
            let numbered = || (2..).map(|n| format!("{stem}-{n}")).find(|stem| !taken(stem));
            let free = if taken(&stem) { numbered().unwrap_or_default() } else { stem };
            all[i].stem = free;
        }
        Self { notes: differing_corpora(runs).into_iter().collect(), all }
    }

    /// Refuses models that predict different endpoints: their scores are not
    /// of the same thing.
    pub fn check(&self) -> Result<()> {
        let with_endpoint = |m: &&Model| !m.run.info.endpoint.is_empty();
        let Some(first) = self.all.iter().find(with_endpoint) else { return Ok(()) };
        match self.all.iter().find(|m| !same_endpoint(m.run, first.run)) {
            None => Ok(()),
            Some(other) => Err(Error::Request(format!(
                "{} predicts '{}' and {} predicts '{}': report them apart",
                first.run.dir.display(),
                first.run.info.endpoint,
                other.run.dir.display(),
                other.run.info.endpoint
            ))),
        }
    }

    /// The models that are no one's rival.
    pub fn main(&self) -> impl Iterator<Item = &Model<'a>> {
        self.all.iter().filter(|m| !m.baseline)
    }

    /// The naive predictor that `model` is held against.
    pub fn naive_of(&self, model: &Model) -> Option<&Model<'a>> {
        self.all.get(model.naive?)
    }
}

/// Name of the model that all others are held against: the naive mean effects.
pub const NAIVE: &str = "mean-effects";

fn is_naive(run: &Run) -> bool {
    run.model == NAIVE
}

/// A run of another program may not say what it predicts; it is then taken to
/// predict the same.
fn same_endpoint(a: &Run, b: &Run) -> bool {
    let (a, b) = (&a.info.endpoint, &b.info.endpoint);
    a == b || a.is_empty() || b.is_empty()
}

fn differing_corpora(runs: &[Run]) -> Option<String> {
    let mut stores = runs.iter().filter_map(|run| Some((run, run.corpus.as_ref()?)));
    let (first, corpus) = stores.next()?;
    let (other, _) =
        stores.find(|(_, c)| (&c.datasets, &c.overlaps) != (&corpus.datasets, &corpus.overlaps))?;
    Some(format!(
        "The stores of {} and {} differ: their models were not trained and scored on the same data.",
        first.dir.display(),
        other.dir.display()
    ))
}

fn stem(label: &str) -> String {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '+');
    let stem: String = label.chars().map(|c| if allowed(c) { c } else { '-' }).collect();
    let stem = stem.trim_matches(['-', '.']);
    if stem.is_empty() { "model".into() } else { stem.into() }
}

fn distinct(all: &[Model], run: &Run, parent: &Run) -> String {
    let taken = all.iter().any(|m| m.label == run.model);
    if taken { in_folder(all, run, parent) } else { run.model.clone() }
}

/// The name of a model and that of the folder of its run, as in "two-tower (with)".
fn in_folder(all: &[Model], run: &Run, parent: &Run) -> String {
    let taken = |label: &str| all.iter().any(|m| m.label == label);
    // Of "." and such.
    let full = parent.dir.canonicalize().unwrap_or_else(|_| parent.dir.clone());
    let folder = full.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let label = format!("{} ({folder})", run.model);
    let numbered = |n: &usize| !taken(&format!("{label} {n}"));
    if taken(&label) {
        let n = (2..).find(numbered).unwrap_or_default();
        return format!("{label} {n}");
    }
    label
}

fn same_scores(a: &Run, b: &Run) -> bool {
    let scores = |run: &Run| {
        let cells = run.cells.iter().flat_map(|(at, splits)| {
            splits.iter().filter_map(move |(k, cell)| Some((*at, *k, cell.scores?.r2.to_bits())))
        });
        cells.collect::<Vec<_>>()
    };
    a.sources == b.sources && a.targets == b.targets && scores(a) == scores(b)
}
