use super::machine::Machine;
use crate::report::phrase::count;
use crate::{Error, Result};

/// Where ranks sit: how many on how many nodes, with which cores and GPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Nodes.
    pub nodes: usize,
    /// Ranks of a node.
    pub ranks_per_node: usize,
    /// Cores of a rank, and so its threads; `None` where the script counts them on the node.
    pub cores: Option<usize>,
    /// GPUs of a node that the job asks for.
    pub gpus: usize,
    /// First and last core of each rank of a node, where the machine tells which are near the rank's GPU.
    pub places: Vec<(usize, usize)>,
}

/// More is a slip of the keyboard.
const MOST: usize = 1_000_000;

impl Layout {
    /// Shares the cores of a node evenly among its ranks; ranks take its GPUs in turn, as `crossrx` deals them
    /// by local rank, and the cores nearest to them where `machine` knows. Adds to `warnings` what is left
    /// over; fails where ranks would share cores.
    pub fn of(
        [nodes, ranks, gpus]: [usize; 3],
        cores: Option<usize>,
        machine: Option<&Machine>,
        warnings: &mut Vec<String>,
    ) -> Result<Layout> {
        let refuse = |what: String| Err(Error::Request(what));
        if [nodes, ranks, gpus, cores.unwrap_or(1)].into_iter().any(|number| number > MOST) {
            return refuse(format!("nodes, ranks, cores and GPUs: at most {MOST} each"));
        }
        if nodes == 0 || ranks == 0 || cores == Some(0) {
            return refuse("--nodes, --ranks-per-node and --cores-per-node begin at 1".into());
        }
        if let Some(machine) = machine {
            let beyond = |number, most, what: &str| {
                (number > most)
                    .then(|| format!("a node of {} has {}, not {number}", machine.name, count(most, what)))
            };
            // What a typical machine has, the users of one know better.
            let cores = cores.filter(|_| machine.exact).and_then(|c| beyond(c, machine.cores, "core"));
            if let Some(what) = cores.or_else(|| beyond(gpus, machine.gpus, "GPU")) {
                return refuse(what);
            }
        }
        let all = cores.or(machine.map(|machine| machine.cores));
        if let Some(all) = all
            && ranks > all
        {
            return refuse(format!(
                "{ranks} ranks a node of {} would share cores: --ranks-per-node {all} at most",
                count(all, "core")
            ));
        }
        let own = machine.map_or(0, |machine| machine.gpus);
        if gpus < own {
            warnings.push(format!(
                "{} of every node will be idle: --gpus-per-node {own} uses all",
                count(own - gpus, "GPU")
            ));
        }
        if gpus > ranks {
            let idle = count(gpus - ranks, "GPU");
            warnings.push(format!(
                "a rank uses one GPU, so {idle} of every node will be idle: --ranks-per-node {gpus} uses all"
            ));
        } else if gpus > 0 && ranks % gpus > 0 {
            warnings.push(format!("{ranks} ranks share {gpus} GPUs unevenly: a multiple of {gpus} is even"));
        }
        let mut layout = Layout {
            nodes,
            ranks_per_node: ranks,
            cores: all.map(|all| all / ranks),
            gpus,
            places: Vec::new(),
        };
        let near = machine.map_or(&[][..], |machine| machine.near);
        if let Some(all) = all
            && gpus > 0
            && gpus == near.len()
        {
            layout.place(near, all);
        }
        if let (Some(all), Some(own)) = (all, layout.cores) {
            let idle = all - (own * ranks).min(all);
            let better = match &layout.places[..] {
                [] => format!("--ranks-per-node {} divides them", nearest_divisor(all, ranks)),
                _ => format!("--ranks-per-node {gpus}, or a multiple of it that divides them, uses all"),
            };
            if idle > 0 {
                warnings.push(format!(
                    "{ranks} ranks on {all} cores leave {} of every node idle: {better}",
                    count(idle, "core")
                ));
            }
        }
        Ok(layout)
    }

    /// Gives every rank its part of the cores that are near its GPU.
    fn place(&mut self, near: &[(usize, usize)], all: usize) {
        let sharing = self.ranks_per_node.div_ceil(self.gpus);
        let nearby =
            near.iter().map(|(first, last)| last - first + 1).min().unwrap_or(1).min(all / self.gpus);
        let cores = (nearby / sharing).max(1);
        let place = |rank: usize| {
            let first = near[rank % near.len()].0 + rank / near.len() * cores;
            (first, first + cores - 1)
        };
        self.places = (0..self.ranks_per_node).map(place).collect();
        self.cores = Some(cores);
    }

    /// Ranks of the whole job.
    pub fn ranks(&self) -> usize {
        self.nodes.saturating_mul(self.ranks_per_node)
    }

    /// Cores of a rank as a word of the script.
    pub fn cores_word(&self) -> String {
        self.cores.map_or_else(|| "\"$cores\"".into(), |cores| cores.to_string())
    }
}

/// The largest divisor of `all` that is at most `number`.
fn nearest_divisor(all: usize, number: usize) -> usize {
    (1..=number).rev().find(|divisor| all.is_multiple_of(*divisor)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(numbers: [usize; 3], cores: Option<usize>, machine: &str) -> (Result<Layout>, Vec<String>) {
        let mut warnings = Vec::new();
        (Layout::of(numbers, cores, Machine::named(machine), &mut warnings), warnings)
    }

    #[test]
    fn cores_are_shared_evenly_and_what_is_left_is_told() {
        let (layout, warnings) = of([2, 8, 0], Some(64), "");
        assert_eq!((layout.unwrap().cores, warnings.len()), (Some(8), 0));
        let (layout, warnings) = of([1, 6, 0], Some(64), "");
        assert_eq!(layout.unwrap().cores, Some(10));
        assert!(
            warnings[0].contains("4 cores") && warnings[0].contains("--ranks-per-node 4"),
            "{warnings:?}"
        );
        assert_eq!(of([1, 2, 0], None, "").0.unwrap().cores_word(), "\"$cores\"");
        for (numbers, cores) in
            [([1, 65, 0], Some(64)), ([0, 1, 0], None), ([1, 0, 0], None), ([1, 1, 0], Some(0))]
        {
            assert!(of(numbers, cores, "").0.is_err());
        }
        assert!(of([usize::MAX, 2, 0], None, "").0.is_err());
    }

    #[test]
    fn gpus_that_ranks_do_not_use_are_told() {
        assert!(of([1, 2, 4], Some(64), "").1[0].contains("2 GPUs of every node will be idle"));
        assert!(of([1, 6, 4], Some(66), "").1[0].contains("unevenly"));
        assert!(of([1, 8, 4], Some(64), "").1.is_empty());
        assert!(of([1, 8, 0], None, "polaris").1[0].contains("4 GPUs of every node will be idle"));
        assert!(of([1, 8, 5], None, "polaris").0.unwrap_err().to_string().contains("4 GPUs"));
        assert!(of([1, 8, 0], Some(64), "polaris").0.unwrap_err().to_string().contains("32 cores"));
    }

    #[test]
    fn ranks_sit_by_their_gpus() {
        let polaris = of([1, 4, 4], None, "polaris").0.unwrap();
        assert_eq!((polaris.places, polaris.cores), (vec![(24, 31), (16, 23), (8, 15), (0, 7)], Some(8)));
        let shared = of([1, 8, 4], None, "polaris").0.unwrap();
        assert_eq!(shared.places[..5], [(24, 27), (16, 19), (8, 11), (0, 3), (28, 31)]);
        let few = of([1, 3, 4], None, "polaris").1;
        assert!(few.iter().any(|w| w.contains("8 cores") && w.contains("--ranks-per-node 4")), "{few:?}");
        // Ranks without GPUs have all cores, in order.
        let without = of([1, 4, 0], None, "polaris").0.unwrap();
        assert_eq!((without.places.len(), without.cores), (0, Some(8)));
        let full = of([1, 64, 4], None, "perlmutter").0.unwrap();
        let mut cores: Vec<usize> = full.places.iter().map(|place| place.0).collect();
        cores.sort_unstable();
        assert_eq!(cores, (0..64).collect::<Vec<_>>());
    }
}
