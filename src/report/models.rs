use super::tree::Run;

/// The models that a report sets side by side.
pub struct Models<'a> {
    /// Runs first, then the rivals that ran with them.
    pub all: Vec<Model<'a>>,
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
}

impl Model<'_> {
    /// The label in file names. `_` becomes `-` because the readers of
    /// `<model>_<met>_G_mean.csv` cut the name at the first `_`.
    pub fn file_stem(&self) -> String {
        let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '+');
        let stem: String = self.label.chars().map(|c| if allowed(c) { c } else { '-' }).collect();
        stem.trim_matches(['-', '.']).to_string()
    }
}

impl<'a> Models<'a> {
    /// The models of `runs`. A model that several runs have keeps its name once
    /// where the scores are the same, and gets its folder's name added where
    /// they differ. Each is held against the mean effects of its own run, else
    /// against those of any other.
    pub fn of(runs: &'a [Run]) -> Self {
        let mut all: Vec<Model<'a>> = Vec::new();
        for run in runs {
            let label = distinct(&all, run, run);
            all.push(Model { label, run, baseline: false, naive: None });
        }
        for (r, run) in runs.iter().enumerate() {
            for rival in &run.baselines {
                let same = all.iter().position(|m| m.run.model == rival.model && same_scores(m.run, rival));
                let place = same.unwrap_or_else(|| {
                    let label = distinct(&all, rival, run);
                    all.push(Model { label, run: rival, baseline: true, naive: None });
                    all.len() - 1
                });
                if is_naive(rival) {
                    all[r].naive = Some(place);
                }
            }
        }
        let any = all.iter().position(|m| is_naive(m.run));
        for (i, model) in all.iter_mut().enumerate() {
            model.naive = model.naive.or(any).filter(|&naive| naive != i && !is_naive(model.run));
        }
        Self { all }
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

fn is_naive(run: &Run) -> bool {
    run.model == "mean-effects"
}

fn distinct(all: &[Model], run: &Run, parent: &Run) -> String {
    let taken = |label: &str| all.iter().any(|m| m.label == label);
    if !taken(&run.model) {
        return run.model.clone();
    }
    let folder = parent.dir.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
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
