use super::floor::Floor;
use super::{Case, MadeUp};
use crate::Result;
use crate::comm::Communicator;
use crate::device::Device;
use crate::device::cuda::Precision;
use crate::report::phrase::count;
use crate::train::{Asks, Trainer};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

/// How fast one case trains here.
#[derive(Debug, Clone, Serialize)]
pub struct StepReport {
    /// Name of the case.
    pub case: &'static str,
    /// Pairs a step.
    pub batch: usize,
    /// Distinct drugs and samples of a lane's step.
    pub distinct: [usize; 2],
    /// Lanes over all ranks.
    pub lanes: usize,
    /// Ranks.
    pub ranks: usize,
    /// Threads of a rank.
    pub threads: usize,
    /// What computed, on the first rank.
    pub device: String,
    /// In which numbers.
    pub precision: Precision,
    /// Pairs a second, by the median step.
    pub samples_per_s: f64,
    /// Pairs a second if a step were its matrix products alone, done by the gemm crate or cuBLASLt.
    pub floor_samples_per_s: f64,
    /// Rate of that library on those products, in Gflop/s.
    pub floor_gflops: f64,
    /// The first as a part of the second.
    pub ratio: f64,
    /// Milliseconds of the mean step, by what they are spent on.
    pub phases: BTreeMap<&'static str, f64>,
}

/// Steps before the clock runs: on a GPU, enough for every size of batch to be recorded.
const WARM: [usize; 2] = [3, 32];
/// Steps that are timed together: a GPU is waited for after several.
const AT_ONCE: [usize; 2] = [1, 16];
/// Steps of which the parts are timed one by one, where that is apart from the others.
const PROFILED: usize = 3;
/// Most turns with the floor.
const MOST: usize = 60;

/// Trains `case` on all ranks of `comm` for about `seconds`, steps and floor taking turns, its pairs
/// in `lanes`, one a rank if absent.
pub fn measure_step(
    case: Case,
    seconds: f64,
    lanes: Option<usize>,
    device: &Device,
    precision: Precision,
    comm: &dyn Communicator,
) -> Result<StepReport> {
    let made_up = MadeUp::new(case, comm.rank(), comm.size(), lanes, device.clone(), precision)?;
    let own_lanes = made_up.problem().own.len();
    let (problem, spec) = (made_up.problem(), made_up.spec());
    let mut trainer = Trainer::new(&problem, &spec, 1, comm)?;
    trainer.begin_epoch()?;
    let mut at = (0..problem.lanes.steps()).cycle();
    let on_gpu = usize::from(matches!(device, Device::Cuda(_)));
    let at_once = AT_ONCE[on_gpu];
    let mut steps_of = |trainer: &mut Trainer<'_>, count: usize| -> Result<Duration> {
        let started = Instant::now();
        for _ in 0..count {
            trainer.step(at.next().unwrap_or(0), Asks::default())?;
        }
        trainer.settle()?;
        Ok(started.elapsed() / count as u32)
    };
    steps_of(&mut trainer, WARM[on_gpu])?;
    let distinct = trainer.distinct();
    let mut floor = Floor::of(trainer.products(), device, precision)?;
    floor.run(1)?;
    trainer.reset_spent();
    let (mut steps, mut floors) = (Vec::new(), Vec::new());
    let begun = Instant::now();
    let mut more = true;
    while more {
        steps.push(steps_of(&mut trainer, at_once)?);
        floors.push(floor.run(at_once * own_lanes)? / at_once as u32);
        // All ranks take as many steps as the first.
        let mut go = vec![u8::from(begun.elapsed().as_secs_f64() < seconds && steps.len() < MOST)];
        comm.broadcast(0, &mut go);
        more = go == [1];
    }
    let phases = if on_gpu == 1 {
        trainer.reset_spent();
        let started = Instant::now();
        (0..PROFILED).try_for_each(|at| trainer.profile(at % problem.lanes.steps()))?;
        phases(&trainer, &[started.elapsed() / PROFILED as u32; PROFILED])
    } else {
        phases(&trainer, &steps)
    };
    let floor_gflops = 2e-9 * (own_lanes * floor.multiply_adds()) as f64 / median(&mut floors);
    let per_second = |times: &mut Vec<Duration>| case.batch() as f64 / median(times);
    let (samples_per_s, floor_samples_per_s) = (per_second(&mut steps), per_second(&mut floors));
    Ok(StepReport {
        case: case.name(),
        batch: case.batch(),
        distinct,
        lanes: problem.lanes.count(),
        ranks: comm.size(),
        threads: rayon::current_num_threads(),
        device: match device {
            Device::Cpu => "processors".into(),
            Device::Cuda(stream) => stream.name(),
        },
        precision,
        samples_per_s,
        floor_samples_per_s,
        floor_gflops,
        ratio: samples_per_s / floor_samples_per_s,
        phases,
    })
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64()
}

fn phases(trainer: &Trainer<'_>, steps: &[Duration]) -> BTreeMap<&'static str, f64> {
    let each = |time: Duration| time.as_secs_f64() * 1e3 / steps.len() as f64;
    let mut phases = BTreeMap::new();
    for (part, time) in trainer.spent() {
        let phase = match part {
            "linear" | "tied linear" => "matrix products",
            "bit linear" => "products with bits",
            "fuse" | "optimiser" | "all-reduce" | "batch assembly" => part,
            _ => "other ops",
        };
        *phases.entry(phase).or_default() += each(time);
    }
    let rest = each(steps.iter().sum()) - phases.values().sum::<f64>();
    phases.insert("rest", rest.max(0.0));
    phases
}

impl fmt::Display for StepReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [drugs, samples] = self.distinct;
        writeln!(
            f,
            "{}: {} pairs a step in {}, {drugs} drugs and {samples} samples in each; {} of {}, on {}",
            self.case,
            self.batch,
            count(self.lanes, "lane"),
            count(self.ranks, "rank"),
            count(self.threads, "thread"),
            self.device
        )?;
        writeln!(
            f,
            "  {:10.0} samples/s, floor {:.0} at {:.0} Gflop/s: {:.0} % of it",
            self.samples_per_s,
            self.floor_samples_per_s,
            self.floor_gflops,
            100.0 * self.ratio
        )?;
        let total: f64 = self.phases.values().sum();
        let mut phases: Vec<_> = self.phases.iter().collect();
        phases.sort_by(|a, b| b.1.total_cmp(a.1));
        for (phase, ms) in phases {
            writeln!(f, "  {ms:10.2} ms {:5.1} %  {phase}", 100.0 * ms / total)?;
        }
        Ok(())
    }
}
