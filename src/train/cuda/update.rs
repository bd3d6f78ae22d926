use super::optimizer::CudaOptimizer;
use crate::Result;
use crate::device::cuda::{Address, Kernel, Memory, Precision, Storage, Stream};
use crate::graph::{CudaGradients, CudaLayout, CudaParameters, Parameters};
use crate::op::{EIGHT, Tensor};
use crate::train::{Asks, OptimizerKind, TrainSpec};
use std::cell::Cell;
use std::mem::offset_of;
use std::sync::Arc;

/// What happens to losses and gradients on a device: sums in f64, whether a step
/// is taken at all, what is counted, and the optimiser. All but what talks to
/// the host can be recorded; a step is `loss` for every lane, [`Self::words`]
/// before the sum over ranks, and [`Self::step`] after it.
#[derive(Debug)]
pub struct CudaUpdate {
    stream: Stream,
    kind: OptimizerKind,
    optimizer: CudaOptimizer,
    lanes: usize,
    /// A [`Standing`], then the sum of the losses of the epoch under way, f64, one a lane.
    standing: Memory,
    /// Of the step under way, f64, one a lane.
    step_losses: Memory,
    /// f64 `[lanes, LOSS_BLOCKS]`.
    loss_parts: Memory,
    /// f64, one a span of the gradient.
    square_parts: Memory,
    squares: usize,
    /// f32: to stop, to write a checkpoint.
    asks: Memory,
    asked: Cell<Asks>,
    /// f64: Adam's, or zeros.
    betas: Memory,
}

/// What a training on a device has counted, as its last step left it.
#[derive(Debug, Clone, PartialEq)]
pub struct Counters {
    /// Steps of the optimiser, where they matter: as [`crate::train::Progress`] has them.
    pub steps: i32,
    /// Training pairs of all lanes in the steps of the epoch under way that were not skipped.
    pub counted: usize,
    /// Steps skipped since the start, for they were not finite.
    pub skipped: usize,
    /// Number of the last of them, as [`crate::op::CudaPass::step`] has it, if it was skipped since
    /// [`CudaUpdate::restore`].
    pub last_skipped: Option<u64>,
    /// Whether the last step was taken.
    pub finite: bool,
    /// Euclidean norm of the last step's gradient.
    pub norm: f64,
    /// What any rank asked for at the last step.
    pub asks: Asks,
    /// Sum of the losses of the epoch under way, one a lane of this rank.
    pub lane_losses: Vec<f64>,
}

/// `Standing` of `kernels/update.cu`.
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Standing {
    steps: u64,
    counted: u64,
    skipped: u64,
    last_skipped: u64,
    norm: f64,
    asks: [f32; 2],
    verdict: Verdict,
}

/// `Verdict` of `kernels/crossrx.cuh`.
#[derive(Debug, Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Verdict {
    finite: u32,
    rate: f32,
    plain: f32,
    root: f32,
}

const LOSSES: Kernel = Kernel::new("update", "losses");
const WORDS: Kernel = Kernel::new("update", "words");
const SQUARES: Kernel = Kernel::new("update", "squares");
const JUDGE: Kernel = Kernel::new("update", "judge");

/// As `kernels/update.cu` has it.
const LOSS_BLOCKS: usize = 64;
/// As `kernels/update.cu` has it.
const SPAN: usize = 8192;
/// Threads of a block of many.
const THREADS: usize = 256;
/// Threads of a block that works alone.
const ALONE: usize = 1024;
const F64: usize = size_of::<f64>();
/// No step.
const NONE: u64 = u64::MAX;

impl CudaUpdate {
    /// At the start of a training of `own_lanes` lanes on this rank. Fails if there is no memory
    /// for what the optimiser remembers.
    pub fn new(
        stream: &Stream,
        spec: &TrainSpec,
        layout: Arc<CudaLayout>,
        precision: Precision,
        own_lanes: usize,
    ) -> Result<Self> {
        let squares = layout.length().div_ceil(SPAN);
        let betas = match spec.optimizer {
            OptimizerKind::Adam | OptimizerKind::AdamW => [spec.beta1, spec.beta2],
            OptimizerKind::Sgd => [0.0; 2],
        };
        let update = Self {
            stream: stream.clone(),
            kind: spec.optimizer,
            lanes: own_lanes,
            standing: stream.zeros(size_of::<Standing>() + own_lanes * F64)?,
            step_losses: stream.zeros(own_lanes * F64)?,
            loss_parts: stream.zeros(own_lanes * LOSS_BLOCKS * F64)?,
            square_parts: stream.zeros(squares * F64)?,
            squares,
            asks: stream.zeros(2 * size_of::<f32>())?,
            asked: Cell::default(),
            betas: stream.holding(&betas)?,
            optimizer: CudaOptimizer::new(stream, spec, layout, precision)?,
        };
        update.stand(0, 0, 0)?;
        Ok(update)
    }

    fn stand(&self, steps: u64, counted: usize, skipped: usize) -> Result<()> {
        let (counted, skipped, verdict) = (counted as u64, skipped as u64, Verdict::default());
        let standing =
            Standing { steps, counted, skipped, last_skipped: NONE, norm: 0.0, asks: [0.0; 2], verdict };
        self.standing.upload(0, &[standing])
    }

    fn lane_losses(&self) -> Address {
        self.standing.at().offset(size_of::<Standing>())
    }

    /// Says what this rank asks for from the next step on. Not for recording.
    pub fn ask(&self, asks: Asks) -> Result<()> {
        if self.asked.replace(asks) != asks {
            let words = [asks.stop, asks.checkpoint].map(|ask| f32::from(u8::from(ask)));
            self.asks.upload(0, &words)?;
        }
        Ok(())
    }

    /// Puts the sum of a pass's losses on the stream: a tensor of one column, for the lane
    /// `lane_local` of this rank.
    pub fn loss(&self, losses: Tensor, lane_local: usize, pass: Address) -> Result<()> {
        debug_assert!(lane_local < self.lanes && losses.columns == 1 && losses.storage == Storage::F32);
        let parts = self.loss_parts.at().offset(lane_local * LOSS_BLOCKS * F64);
        let arguments = [parts.into(), losses.at.into(), losses.rows.into(), pass.into()];
        self.stream.launch(LOSSES, Storage::F32, [LOSS_BLOCKS, 1], [THREADS, 1], &arguments)
    }

    /// Writes the words that travel with the last bucket of `gradients`, once all lanes have their
    /// loss: what this rank asks for, and how many of its lanes have a loss that is not finite.
    pub fn words(&self, gradients: &CudaGradients) -> Result<()> {
        let arguments = [
            gradients.words().into(),
            self.step_losses.at().into(),
            self.loss_parts.at().into(),
            self.asks.at().into(),
            self.lanes.into(),
        ];
        self.stream.launch(WORDS, Storage::F32, [1, 1], [ALONE, 1], &arguments)
    }

    /// Takes a step along `gradients`, the sum over all lanes of all ranks with its words, or skips
    /// it where those or a loss are not finite.
    pub fn step(&self, parameters: &CudaParameters, gradients: &CudaGradients, pass: Address) -> Result<()> {
        let eights = gradients.layout().length() / EIGHT;
        let arguments = [self.square_parts.at().into(), gradients.memory().at().into(), eights.into()];
        self.stream.launch(SQUARES, Storage::F32, [self.squares, 1], [THREADS, 1], &arguments)?;
        let arguments = [
            self.standing.at().into(),
            self.lane_losses().into(),
            self.step_losses.at().into(),
            self.lanes.into(),
            self.square_parts.at().into(),
            self.squares.into(),
            gradients.words().into(),
            self.betas.at().into(),
            pass.into(),
        ];
        self.stream.launch(JUDGE, Storage::F32, [1, 1], [ALONE, 1], &arguments)?;
        self.optimizer.step(parameters, gradients, self.standing.at().offset(offset_of!(Standing, verdict)))
    }

    /// Starts the sums of an epoch anew. Not for recording.
    pub fn begin_epoch(&self) -> Result<()> {
        self.stream.zero(self.standing.at().offset(offset_of!(Standing, counted)), size_of::<u64>())?;
        self.stream.zero(self.lane_losses(), self.lanes * F64)
    }

    /// Waits for what is on the stream, and tells what has been counted.
    pub fn counters(&self) -> Result<Counters> {
        let mut bytes = vec![0u8; size_of::<Standing>() + self.lanes * F64];
        self.standing.download(0, &mut bytes)?;
        let (standing, lane_losses) = bytes.split_at(size_of::<Standing>());
        let standing: Standing = bytemuck::pod_read_unaligned(standing);
        let steps = if self.kind == OptimizerKind::Sgd { 0 } else { standing.steps };
        let [stop, checkpoint] = standing.asks.map(|ranks| ranks > 0.0);
        Ok(Counters {
            steps: i32::try_from(steps).unwrap_or(i32::MAX),
            counted: standing.counted as usize,
            skipped: standing.skipped as usize,
            last_skipped: (standing.last_skipped != NONE).then_some(standing.last_skipped),
            finite: standing.verdict.finite != 0,
            norm: standing.norm,
            asks: Asks { stop, checkpoint },
            lane_losses: lane_losses.chunks_exact(F64).map(bytemuck::pod_read_unaligned).collect(),
        })
    }

    /// What the optimiser remembers of each parameter, as [`OptimizerKind::memory`] names it, laid
    /// out as `like` is.
    pub fn memory(&self, like: &Parameters<f32>) -> Result<Vec<Parameters<f32>>> {
        self.optimizer.memory(like)
    }

    /// Goes on from where a training of this kind stood; `lane_losses` are those of this rank's lanes.
    /// Panics if they are not as many.
    pub fn restore(
        &self,
        memory: &[Parameters<f32>],
        steps: i32,
        counted: usize,
        skipped: usize,
        lane_losses: &[f64],
    ) -> Result<()> {
        assert_eq!(lane_losses.len(), self.lanes, "losses of this rank's lanes");
        self.optimizer.restore(memory)?;
        self.stand(u64::try_from(steps).unwrap_or(0), counted, skipped)?;
        self.standing.upload(size_of::<Standing>(), lane_losses)
    }
}
