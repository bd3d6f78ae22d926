use super::early_stop::EarlyStop;
use super::weights::{cannot_lay_out, expect_count, parse, program, read_into, tensors};
use super::{OptimizerKind, TrainSpec};
use crate::graph::{Graph, Parameter, Parameters};
use crate::metric::Epoch;
use crate::{Error, Result};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Where a training stands between two steps: with its deck and store, all
/// that it needs to go on as if it had never stopped. Shuffles and dropout are
/// drawn by the number of the step, so no generator has a state.
#[derive(Debug, Clone)]
pub struct State {
    /// How far it is.
    pub progress: Progress,
    /// Every epoch finished.
    pub history: Vec<Epoch>,
    /// Sum of the losses of the epoch under way, one a lane.
    pub lane_losses: Vec<f64>,
    /// The parameters.
    pub weights: Parameters<f32>,
    /// Those of the best epoch.
    pub best: Parameters<f32>,
    /// What the optimiser remembers, as [`OptimizerKind::memory`] names it.
    pub memory: Vec<Parameters<f32>>,
}

/// How far a training is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Lanes that its pairs are cut into.
    pub lanes: usize,
    /// Epochs finished.
    pub epoch: usize,
    /// Steps taken of the epoch under way.
    pub at: usize,
    /// Steps of the optimiser.
    pub optimizer_steps: i32,
    /// Steps skipped since the start, for they were not finite.
    pub skipped: usize,
    /// Training pairs of all lanes in the steps of the epoch under way that were not skipped.
    pub counted: usize,
    /// Wall time of the epoch under way.
    pub seconds: f64,
}

/// A [`State`] in the places where a training holds it.
#[derive(Debug)]
pub struct StateView<'a> {
    /// How far the training is.
    pub progress: Progress,
    /// Every epoch finished.
    pub history: &'a [Epoch],
    /// As in [`State`].
    pub lane_losses: &'a [f64],
    /// Where in the following each parameter lies.
    pub layout: &'a [Parameter],
    /// The parameters.
    pub weights: &'a [f32],
    /// Those of the best epoch.
    pub best: &'a [f32],
    /// What the optimiser remembers.
    pub memory: Vec<&'a [f32]>,
    /// Which it is.
    pub optimizer: OptimizerKind,
}

/// Columns of the tensor `history`.
const HISTORY: usize = 7;

fn row(e: &Epoch) -> [f64; HISTORY] {
    [f64::from(e.epoch), e.step as f64, e.learning_rate, e.train_loss, e.val_loss, e.val_r2, e.seconds]
}

fn epoch(row: &[f64]) -> Epoch {
    Epoch {
        epoch: row[0] as u32,
        step: row[1] as u64,
        learning_rate: row[2],
        train_loss: row[3],
        val_loss: row[4],
        val_r2: row[5],
        seconds: row[6],
    }
}

impl StateView<'_> {
    /// Writes the state as safetensors: `weights.*`, `best.*` and a group for
    /// each thing that the optimiser remembers, f32; `history`, f64 `[epochs, 7]`;
    /// `lane_losses`, f64 `[lanes]`; the progress as JSON in the metadata.
    pub fn write(&self, path: &Path) -> Result<()> {
        let failed = |e| cannot_lay_out(path, e);
        let history: Vec<f64> = self.history.iter().flat_map(row).collect();
        let f64s = |name: &str, shape: Vec<usize>, values| {
            TensorView::new(Dtype::F64, shape, bytemuck::cast_slice(values)).map(|view| (name.into(), view))
        };
        let mut all = vec![
            f64s("history", vec![self.history.len(), HISTORY], &history).map_err(failed)?,
            f64s("lane_losses", vec![self.lane_losses.len()], self.lane_losses).map_err(failed)?,
        ];
        let groups = [("weights", self.weights), ("best", self.best)].into_iter();
        let memory = self.optimizer.memory().iter().copied().zip(self.memory.iter().copied());
        for (group, values) in groups.chain(memory) {
            all.extend(tensors(&format!("{group}."), self.layout, values).map_err(failed)?);
        }
        let mut metadata = program();
        metadata.insert("progress".into(), serde_json::json!(self.progress).to_string());
        safetensors::serialize_to_file(all, Some(metadata), path).map_err(failed)
    }
}

impl State {
    /// Whether the training has come to its end.
    pub fn is_over(&self, spec: &TrainSpec) -> bool {
        let mut early = EarlyStop::new(spec.patience);
        self.history.iter().for_each(|epoch| {
            early.improved(epoch.val_loss);
        });
        self.history.len() >= spec.epochs || early.exhausted()
    }

    /// Goes back to the start of the epoch under way, to take it in another
    /// number of lanes; what it has taught so far stays.
    pub fn restart_epoch(&mut self, lanes: usize) {
        self.progress = Progress { lanes, at: 0, counted: 0, seconds: 0.0, ..self.progress };
        self.lane_losses = vec![0.0; lanes];
    }

    /// Reads what [`StateView::write`] wrote, for the network `graph` and this
    /// optimiser. Refuses what does not fit them; `path` is for messages.
    pub fn parse(path: &Path, bytes: &[u8], graph: &Graph, optimizer: OptimizerKind) -> Result<State> {
        let fault = |what: String| Error::run(path, what);
        let file = parse(path, bytes)?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| fault(e.to_string()))?;
        let progress = header.metadata().as_ref().and_then(|metadata| metadata.get("progress"));
        let progress = progress.ok_or_else(|| fault("lacks the progress of the training".into()))?;
        let progress: Progress =
            serde_json::from_str(progress).map_err(|e| fault(format!("progress: {e}")))?;
        let memory = optimizer.memory();
        let zeros = Parameters::<f32>::zeros(graph)?;
        expect_count(path, &file, (2 + memory.len()) * zeros.layout().len() + 2)?;
        let group = |name: &str| {
            let mut values = zeros.zeros_like();
            read_into(path, &file, &format!("{name}."), &mut values).map(|()| values)
        };
        let history = f64s(path, &file, "history")?;
        let state = State {
            progress,
            history: history.chunks_exact(HISTORY).map(epoch).collect(),
            lane_losses: f64s(path, &file, "lane_losses")?,
            weights: group("weights")?,
            best: group("best")?,
            memory: memory.iter().map(|name| group(name)).collect::<Result<_>>()?,
        };
        let numbered = (1..).zip(&state.history).all(|(number, epoch)| number == epoch.epoch);
        if history.len() != HISTORY * progress.epoch || !numbered {
            return Err(fault(format!("'history' does not tell of {} epochs", progress.epoch)));
        }
        if progress.lanes == 0 || state.lane_losses.len() != progress.lanes {
            return Err(fault(format!("'lane_losses' does not tell of {} lanes", progress.lanes)));
        }
        Ok(state)
    }
}

fn f64s(path: &Path, file: &SafeTensors<'_>, name: &str) -> Result<Vec<f64>> {
    let tensor = file.tensor(name).map_err(|_| Error::run(path, format!("lacks '{name}'")))?;
    if tensor.dtype() != Dtype::F64 {
        return Err(Error::run(path, format!("'{name}' is {}, not F64", tensor.dtype())));
    }
    Ok(tensor.data().chunks_exact(8).map(bytemuck::pod_read_unaligned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Activation, Linear};

    fn graph(columns: usize) -> Graph {
        let mut graph = Graph::new();
        let space = graph.space("pairs");
        let x = graph.input(space, 3);
        graph.add("l", Linear::new(3, columns, Activation::Identity), &[x]).unwrap();
        graph
    }

    #[test]
    fn a_state_comes_back_to_the_bit_and_anothers_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.safetensors");
        let parameters = |seed| Parameters::<f32>::start(&graph(5), seed).unwrap();
        let (weights, best, first, second) = (parameters(1), parameters(2), parameters(3), parameters(4));
        let history = [Epoch {
            epoch: 1,
            step: 7,
            learning_rate: 0.1,
            train_loss: 1.0 / 3.0,
            val_loss: f64::NAN,
            val_r2: f64::MIN_POSITIVE,
            seconds: 2.0,
        }];
        let progress = Progress {
            lanes: 2,
            epoch: 1,
            at: 3,
            optimizer_steps: 8,
            skipped: 2,
            counted: 99,
            seconds: 0.25,
        };
        let view = StateView {
            progress,
            history: &history,
            lane_losses: &[0.1, -0.0],
            layout: weights.layout(),
            weights: weights.values(),
            best: best.values(),
            memory: vec![first.values(), second.values()],
            optimizer: OptimizerKind::AdamW,
        };
        view.write(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let back = State::parse(&path, &bytes, &graph(5), OptimizerKind::AdamW).unwrap();
        assert_eq!(back.progress, progress);
        assert_eq!(row(&back.history[0]).map(f64::to_bits), row(&history[0]).map(f64::to_bits));
        assert_eq!(back.lane_losses[1].to_bits(), (-0.0f64).to_bits());
        for (got, want) in [(&back.weights, &weights), (&back.best, &best), (&back.memory[1], &second)] {
            assert_eq!(got.values(), want.values());
        }
        let refused = |graph, kind| State::parse(&path, &bytes, &graph, kind).unwrap_err().to_string();
        assert!(refused(graph(6), OptimizerKind::Adam).contains("l.weight"));
        assert!(refused(graph(5), OptimizerKind::Sgd).contains("tensors"));
        StateView { lane_losses: &[0.1], ..view }.write(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let torn = State::parse(&path, &bytes, &graph(5), OptimizerKind::AdamW).unwrap_err().to_string();
        assert!(torn.contains("lane_losses"), "{torn}");
    }
}
