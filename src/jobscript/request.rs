use super::launcher::Launcher;
use super::layout::Layout;
use super::machine::{MACHINES, Machine};
use super::quote::{job_name, one_line, operand, scheduler_name};
use super::studies::{Study, derived_name, study, tasks};
use super::wish::{Scheduler, Wish};
use crate::bench::scaling::Mode;
use crate::deck::{Deck, Override};
use crate::report::phrase::count;
use crate::{Error, Result};

/// What the job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// The study of the deck.
    Study,
    /// The same training on 1, 2, 4, ... ranks.
    Scaling(Mode),
}

/// A request whose parts fit together; every text in it is one line.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the help of crossrx jobscript says what each is")]
pub struct Request {
    pub scheduler: Scheduler,
    pub studies: Vec<Study>,
    pub layout: Layout,
    /// The job's limit of time.
    pub seconds: u32,
    /// Hours after which crossrx itself stops, where no scheduler has a limit.
    pub max_hours: Option<f64>,
    pub account: Option<String>,
    pub queue: Option<String>,
    pub modules: Vec<String>,
    pub requeue: bool,
    pub machine: Option<&'static Machine>,
    pub launcher: Launcher,
    pub sets: Vec<String>,
    pub name: String,
    pub directives: Vec<String>,
    pub work: Work,
    pub program: String,
    pub command: String,
    /// What the job does, a line a deck.
    pub about: Vec<String>,
}

impl Request {
    /// Checks a wish: reads every deck with its overrides, deals its tasks to the ranks, shares cores and GPUs.
    /// Beside the request come warnings, a line each: ranks, cores or GPUs that will be idle. Fails, saying what
    /// to change, where a deck is bad, numbers do not fit, or a text cannot stand in a script.
    pub fn check(wish: Wish) -> Result<(Request, Vec<String>)> {
        let refuse = |what: &str| Err(Error::Request(what.into()));
        let mut warnings = Vec::new();
        let machine = machine(&wish)?;
        if wish.scheduler == Scheduler::Local {
            if wish.nodes > 1 {
                return refuse("local is one machine: --nodes 1, or a script for slurm or pbs");
            }
            if wish.decks.len() > 1 {
                return refuse("local has no arrays: make a script a deck, and start one after the other");
            }
            if wish.requeue || wish.account.is_some() || wish.queue.is_some() || !wish.directives.is_empty() {
                return refuse(
                    "--requeue, --account, --queue and --directive are for a scheduler, not for local",
                );
            }
        }
        if wish.scheduler == Scheduler::Pbs && wish.cores_per_node.is_none() && machine.is_none() {
            return refuse("PBS gives a job the cores that it asks for, and no more: name --cores-per-node");
        }
        if wish.scaling.is_some() && wish.requeue {
            return refuse("a scaling run has no checkpoints to go on from: leave --requeue out");
        }
        let layout = Layout::of(
            [wish.nodes, wish.ranks_per_node, wish.gpus_per_node],
            wish.cores_per_node,
            machine,
            &mut warnings,
        )?;
        let sets = wish.sets.iter().map(|set| {
            one_line("--set", set)?;
            set.parse::<Override>().map_err(|what| Error::Request(format!("--set {set}: {what}")))
        });
        let sets = sets.collect::<Result<Vec<_>>>()?;
        let mut studies: Vec<Study> = Vec::new();
        let mut about = Vec::new();
        for path in &wish.decks {
            let deck = Deck::read(path, &sets)?;
            let study = study(path, &deck, &wish)?;
            if let Some(same) = studies.iter().find(|other| other.out == study.out) {
                let what =
                    format!("{} and {} would share {}: rename one of them", same.deck, study.deck, study.out);
                return Err(Error::Request(what));
            }
            about.push(match wish.scaling {
                None => tasks(&study.deck, &deck, layout.ranks(), &mut warnings)?,
                Some(mode) => format!(
                    "{}: its first training for some steps on 1, 2, 4, ... and all of {} in turn, {} scaling.",
                    study.deck,
                    count(layout.ranks(), "rank"),
                    mode.name()
                ),
            });
            studies.push(study);
        }
        let Some(first) = studies.first() else { return refuse("name a deck") };
        let name = match &wish.name {
            Some(name) => job_name(name)?.to_string(),
            None if studies.len() > 1 => "crossrx".into(),
            None => derived_name(&first.deck, wish.scaling.is_some()),
        };
        let checked = |what: &str, text: Option<String>| {
            text.map(|text| scheduler_name(what, &text).map(str::to_string)).transpose()
        };
        for (what, texts) in [("--module", &wish.modules), ("--directive", &wish.directives)] {
            texts.iter().try_for_each(|text| one_line(what, text).map(drop))?;
        }
        wish.modules.iter().try_for_each(|module| operand("--module", module).map(drop))?;
        operand("--program", &wish.program)?;
        let request = Request {
            scheduler: wish.scheduler,
            layout,
            seconds: seconds(wish.hours.unwrap_or(1.0))?,
            max_hours: wish.hours.filter(|_| wish.scheduler == Scheduler::Local && wish.scaling.is_none()),
            account: checked("--account", wish.account)?,
            queue: checked("--queue", wish.queue)?,
            modules: wish.modules,
            requeue: wish.requeue,
            machine,
            launcher: launcher(wish.launcher, wish.scheduler, machine)?,
            sets: wish.sets,
            name,
            directives: wish.directives,
            work: wish.scaling.map_or(Work::Study, Work::Scaling),
            program: wish.program,
            command: wish.command.chars().filter(|c| !c.is_control()).collect(),
            about,
            studies,
        };
        Ok((request, warnings))
    }

    /// Whether the job has an element a deck.
    pub fn is_array(&self) -> bool {
        self.studies.len() > 1
    }

    /// Seconds before the end of the job at which a study is told to stop: time for a checkpoint, which is
    /// written in seconds, and for what is under way in one piece, such as scoring a target.
    pub fn spare(&self) -> u32 {
        (self.seconds / 20).clamp(120, 600).min(self.seconds / 2)
    }

    /// The limit of time as `HH:MM:SS`.
    pub fn clock(&self) -> String {
        let seconds = self.seconds;
        format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }

    /// Numbers of ranks of a scaling run: powers of two, and all.
    pub fn rank_counts(&self) -> Vec<usize> {
        let all = self.layout.ranks();
        let powers = std::iter::successors(Some(1usize), |ranks| ranks.checked_mul(2));
        powers.take_while(|&ranks| ranks < all).chain([all]).collect()
    }

    /// Whether one of the user's own directives is about the same as this one: begins with the same option.
    pub fn overrides(&self, directive: &str) -> bool {
        let option =
            |text: &str| text.split_once('=').map_or_else(|| text.to_string(), |(option, _)| option.into());
        self.directives.iter().any(|own| option(own) == option(directive))
    }
}

fn machine(wish: &Wish) -> Result<Option<&'static Machine>> {
    let Some(name) = &wish.machine else { return Ok(None) };
    let Some(machine) = Machine::named(name) else {
        let known: Vec<&str> = MACHINES.iter().map(|machine| machine.name).collect();
        return Err(Error::Request(format!("--machine {name}: known are {}", known.join(", "))));
    };
    if !machine.schedulers.contains(&wish.scheduler) {
        let has: Vec<&str> = machine.schedulers.iter().map(|scheduler| scheduler.name()).collect();
        let what = format!("{name} has {}: crossrx jobscript {} ...", has.join(" or "), has.join("|"));
        return Err(Error::Request(what));
    }
    Ok(Some(machine))
}

fn launcher(wish: Option<Launcher>, scheduler: Scheduler, machine: Option<&Machine>) -> Result<Launcher> {
    let usual = match scheduler {
        Scheduler::Slurm => Launcher::Srun,
        Scheduler::Pbs | Scheduler::Local => Launcher::Mpirun,
    };
    let launcher = wish.or(machine.and_then(|machine| machine.launcher)).unwrap_or(usual);
    match (launcher, scheduler) {
        (Launcher::Srun, Scheduler::Slurm) | (Launcher::Mpirun | Launcher::Mpiexec, _) => Ok(launcher),
        (Launcher::Pals, Scheduler::Pbs | Scheduler::Slurm) => Ok(launcher),
        _ => Err(Error::Request(format!(
            "{} does not start ranks under {}: --launcher mpirun or mpiexec",
            launcher.command(),
            scheduler.name()
        ))),
    }
}

fn seconds(hours: f64) -> Result<u32> {
    let seconds = hours * 3600.0;
    // A year; and no scheduler counts less than a minute.
    if !(60.0..=8760.0 * 3600.0).contains(&seconds) {
        return Err(Error::Request(format!("--hours {hours}: from a minute (0.0167) to a year (8760)")));
    }
    Ok(seconds.round() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn wish(folder: &Path) -> Wish {
        let deck = folder.join("my deck.toml");
        let text = "[store]\npath = \"a b.h5\"\n[data]\nendpoint = \"auc\"\nsources = [\"A\", \"B\"]\nsplits = [0, 1]\n\
                    drug_features = [\"m\"]\nsample_features = [\"e\"]\n[model]\nkind = \"two-tower\"\n";
        std::fs::write(&deck, text).unwrap();
        Wish {
            scheduler: Scheduler::Slurm,
            decks: vec![deck],
            nodes: 1,
            ranks_per_node: 4,
            gpus_per_node: 0,
            cores_per_node: Some(8),
            hours: None,
            account: None,
            queue: None,
            modules: Vec::new(),
            requeue: false,
            machine: None,
            launcher: None,
            sets: Vec::new(),
            out: None,
            name: None,
            directives: Vec::new(),
            scaling: None,
            program: "crossrx".into(),
            command: "crossrx".into(),
        }
    }

    #[test]
    fn defaults_follow_from_the_deck() {
        let dir = tempfile::tempdir().unwrap();
        let (request, warnings) = Request::check(wish(dir.path())).unwrap();
        assert_eq!((request.name.as_str(), request.launcher), ("my-deck", Launcher::Srun));
        assert_eq!(
            (request.studies[0].out.as_str(), request.studies[0].store.as_str()),
            ("runs/my deck", "a b.h5")
        );
        assert!(request.about[0].contains("4 tasks (2 sources x 2 splits) on 4 ranks, 4 groups of 1 rank."));
        assert!(warnings.is_empty() && request.clock() == "01:00:00" && request.spare() == 180);
        let out = Some("a/b/".into());
        assert_eq!(Request::check(Wish { out, ..wish(dir.path()) }).unwrap().0.studies[0].out, "a/b");
    }

    #[test]
    fn idle_ranks_are_warned_of_and_impossible_groups_refused() {
        let dir = tempfile::tempdir().unwrap();
        let wish = wish(dir.path());
        let (request, warnings) =
            Request::check(Wish { ranks_per_node: 6, cores_per_node: Some(6), ..wish.clone() }).unwrap();
        assert!(request.about[0].contains("2 ranks idle"), "{:?}", request.about);
        assert!(warnings[0].contains("2 of 6 ranks"), "{warnings:?}");
        let sets = vec!["study.ranks_per_task=8".to_string()];
        assert!(Request::check(Wish { sets, ..wish }).unwrap_err().to_string().contains("ranks_per_task"));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let wish = wish(dir.path());
        let deck = wish.decks[0].clone();
        let text = |text: &str| Some(text.to_string());
        let bad = [
            (Wish { sets: vec!["train.epochs=x".into()], ..wish.clone() }, "train.epochs"),
            (Wish { sets: vec!["nonsense".into()], ..wish.clone() }, "section.key"),
            (Wish { sets: vec!["store.path=a\nb".into()], ..wish.clone() }, "line break"),
            (Wish { decks: vec![deck.clone(), deck], ..wish.clone() }, "rename"),
            (Wish { account: text("a b"), ..wish.clone() }, "--account"),
            (Wish { queue: text("-q"), ..wish.clone() }, "--queue"),
            (Wish { name: text("a/b"), ..wish.clone() }, "--name"),
            (Wish { modules: vec!["a\nb".into()], ..wish.clone() }, "--module"),
            (Wish { modules: vec!["--x".into()], ..wish.clone() }, "--module"),
            (Wish { directives: vec!["--mem=0\nrm".into()], ..wish.clone() }, "--directive"),
            (Wish { out: Some("-o".into()), ..wish.clone() }, "--out"),
            (Wish { hours: Some(0.001), ..wish.clone() }, "--hours"),
            (Wish { hours: Some(f64::NAN), ..wish.clone() }, "--hours"),
            (Wish { machine: text("hal"), ..wish.clone() }, "perlmutter"),
            (Wish { machine: text("polaris"), ..wish.clone() }, "pbs"),
            (Wish { scheduler: Scheduler::Pbs, cores_per_node: None, ..wish.clone() }, "--cores-per-node"),
            (
                Wish { scheduler: Scheduler::Pbs, launcher: Some(Launcher::Srun), ..wish.clone() },
                "--launcher",
            ),
            (Wish { scheduler: Scheduler::Local, nodes: 2, ..wish.clone() }, "--nodes 1"),
            (Wish { scheduler: Scheduler::Local, requeue: true, ..wish.clone() }, "--requeue"),
            (Wish { scaling: Some(Mode::Strong), requeue: true, ..wish.clone() }, "--requeue"),
            (Wish { decks: Vec::new(), ..wish.clone() }, "deck"),
        ];
        for (wish, said) in bad {
            let message = Request::check(wish).unwrap_err().to_string();
            assert!(message.contains(said) && !message.contains('\n'), "{said} not in: {message}");
        }
    }

    #[test]
    fn scaling_takes_powers_of_two_and_all_ranks() {
        let dir = tempfile::tempdir().unwrap();
        let counts = |nodes, ranks_per_node| {
            let wish = Wish { nodes, ranks_per_node, scaling: Some(Mode::Weak), ..wish(dir.path()) };
            let (request, warnings) = Request::check(wish).unwrap();
            assert!(warnings.is_empty() && request.studies[0].out == "scaling/my deck");
            request.rank_counts()
        };
        assert_eq!(counts(1, 1), [1]);
        assert_eq!(counts(2, 4), [1, 2, 4, 8]);
        assert_eq!(counts(3, 4), [1, 2, 4, 8, 12]);
    }
}
