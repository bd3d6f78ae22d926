use super::plan::{Product, products};
use super::schedule::{Task, Write};
use super::{CudaGradients, CudaParameters, Graph, NodeId, Purpose, Schedule};
use crate::Result;
use crate::device::cuda::{Address, Kernel, Memory, Precision, Storage, Stream};
use crate::op::{
    CudaBackward, CudaForward, CudaParameter, CudaParameterGradient, CudaRows, MAX_OPERANDS, Slopes,
    SlopesBefore, Tensor, stride,
};
use arrayvec::ArrayVec;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A network compiled for a CUDA device: the counterpart of [`super::CpuPlan`],
/// with its own memory on a stream. Its passes put kernels on the stream and
/// return; a stream that records notes them instead. Rows of a batch may be
/// rounded up: what padding holds is finite and adds nothing to any sum.
#[derive(Debug)]
pub struct CudaPlan {
    graph: Arc<Graph>,
    schedule: Schedule,
    stream: Stream,
    precision: Precision,
    buffers: Vec<Memory>,
    workspace: Memory,
    /// One a node: the numbers that its op reads and that never change, if there are any.
    constants: Vec<Option<Memory>>,
    /// One a task of backward: what it does in passing for the op that makes its first input.
    slopes: Vec<Option<Slopes>>,
    /// Time of each op by its name, where every op is waited for.
    profile: RefCell<Option<BTreeMap<&'static str, Duration>>>,
}

/// Sets the gradient of the losses of the pairs in use, and zero in padding.
const SEED: Kernel = Kernel::new("loss", "seed");

impl CudaPlan {
    /// Compiles what `output` needs for at most `capacity` rows a space, padding
    /// included, as [`Schedule::new`] has it. Fails if there is no memory for it.
    pub fn new(
        graph: Arc<Graph>,
        purpose: Purpose,
        output: NodeId,
        fed: &[NodeId],
        capacity: &[usize],
        stream: &Stream,
        precision: Precision,
    ) -> Result<Self> {
        let measure = |rows: usize, node: NodeId| {
            let tensor = tensor(&graph, node, Address::NONE, rows, precision);
            rows.checked_mul(stride(tensor.columns))?.checked_mul(4)?;
            Some((tensor.length() * tensor.storage.bytes()).next_multiple_of(256))
        };
        let schedule = Schedule::measured(&graph, purpose, output, fed, capacity, &measure)?;
        let buffers = schedule.buffers.iter().map(|&bytes| stream.zeros(bytes)).collect::<Result<_>>()?;
        let needs = schedule.backward.iter().filter_map(|task| {
            let node = graph.node(task.node);
            let widths = node.inputs.iter().map(|&i| graph.shape(i).columns).chain([node.shape.columns]);
            Some(node.op.as_ref()?.workspace(capacity[node.shape.space.0], widths.max().unwrap_or(0)))
        });
        let workspace = stream.zeros(needs.max().unwrap_or(0))?;
        let mut constants: Vec<Option<Memory>> = (0..graph.len()).map(|_| None).collect();
        for task in &schedule.forward {
            let values = graph.node(task.node).op.as_ref().map(|op| op.constants()).unwrap_or_default();
            if !values.is_empty() {
                constants[task.node.0] = Some(stream.holding(&values)?);
            }
        }
        let slopes = schedule.backward.iter().map(|task| slopes_before(&graph, &schedule, task)).collect();
        Ok(Self {
            slopes,
            graph,
            schedule,
            stream: stream.clone(),
            precision,
            buffers,
            workspace,
            constants,
            profile: RefCell::default(),
        })
    }

    /// In which numbers it computes.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Bytes that a plan takes on a device.
    pub fn bytes(&self) -> usize {
        let held = self.buffers.iter().chain([&self.workspace]).chain(self.constants.iter().flatten());
        held.map(Memory::bytes).sum()
    }

    /// A tensor that is fed from outside, for so many rows; `None` if nothing reads it.
    pub fn input(&self, input: NodeId, rows: usize) -> Option<Tensor> {
        let buffer = self.schedule.value[input.0]?;
        Some(tensor(&self.graph, input, self.buffers[buffer].at(), rows, self.precision))
    }

    /// The output that the plan was compiled for.
    pub fn output(&self, rows: &CudaRows) -> Tensor {
        self.value(self.schedule.output, rows)
    }

    fn is_fed(&self, task: &Task) -> bool {
        task.inputs.first().is_some_and(|&input| self.graph.node(input).op.is_none())
    }

    fn constants(&self, node: NodeId) -> Address {
        self.constants[node.0].as_ref().map_or(Address::NONE, Memory::at)
    }

    fn value(&self, node: NodeId, rows: &CudaRows) -> Tensor {
        self.at(self.schedule.value[node.0], node, rows)
    }

    fn at(&self, buffer: Option<usize>, node: NodeId, rows: &CudaRows) -> Tensor {
        let at = buffer.map_or(Address::NONE, |buffer| self.buffers[buffer].at());
        tensor(&self.graph, node, at, rows.of(self.graph.shape(node).space), self.precision)
    }

    /// The products of every dense layer that learns, for a batch of these rows.
    pub fn products(&self, rows: &CudaRows) -> Vec<Product> {
        products(&self.graph, &self.schedule, |space| rows.of(space))
    }

    /// Computes the output from what was fed.
    pub fn forward(&self, parameters: &CudaParameters, rows: &CudaRows, pass: Address) -> Result<()> {
        self.schedule.forward.iter().try_for_each(|task| self.forward_task(task, parameters, rows, pass))
    }

    fn forward_task(
        &self,
        task: &Task,
        parameters: &CudaParameters,
        rows: &CudaRows,
        pass: Address,
    ) -> Result<()> {
        let node = self.graph.node(task.node);
        let Some(op) = &node.op else { return Ok(()) };
        let inputs: ArrayVec<Tensor, MAX_OPERANDS> =
            task.inputs.iter().map(|&i| self.value(i, rows)).collect();
        let parameters: ArrayVec<CudaParameter, MAX_OPERANDS> =
            node.numbers().map(|p| parameters.of(p)).collect();
        let forward = CudaForward {
            stream: &self.stream,
            precision: self.precision,
            inputs: &inputs,
            fed: self.is_fed(task),
            parameters: &parameters,
            output: self.value(task.node, rows),
            batch: rows,
            pass,
            node: task.node.0,
            constants: self.constants(task.node),
        };
        self.timed(op.name(), || op.cuda_forward(forward))
    }

    /// Starts to wait for every op and to count its time by its name, or ends it and returns what came of it.
    pub fn profile(&self, on: bool) -> BTreeMap<&'static str, Duration> {
        self.profile.replace(on.then(BTreeMap::new)).unwrap_or_default()
    }

    fn timed(&self, name: &'static str, work: impl FnOnce() -> Result<()>) -> Result<()> {
        if self.profile.borrow().is_none() {
            return work();
        }
        self.stream.wait()?;
        let started = Instant::now();
        work()?;
        self.stream.wait()?;
        if let Some(times) = self.profile.borrow_mut().as_mut() {
            *times.entry(name).or_default() += started.elapsed();
        }
        Ok(())
    }

    /// Computes the gradient of [`crate::op::CudaPass::scale`] times the sum of the losses that
    /// forward left, for every parameter. As soon as what computes a bucket is on
    /// the stream, `whole` is told its number.
    pub fn backward(
        &self,
        parameters: &CudaParameters,
        gradients: &CudaGradients,
        rows: &CudaRows,
        pass: Address,
        whole: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<()> {
        let output = self.schedule.output;
        if self.schedule.gradient[output.0].is_some() {
            let seed = self.at(self.schedule.gradient[output.0], output, rows);
            let arguments = [seed.at.into(), seed.rows.into(), pass.into()];
            self.stream.launch_over(SEED, seed.storage, seed.rows, &arguments)?;
        }
        let buckets = gradients.layout().buckets().len();
        let mut next = 0;
        for (at, &settled) in self.schedule.settled.iter().enumerate() {
            self.backward_task(at, parameters, gradients, rows, pass)?;
            while next < buckets && gradients.layout().is_whole(next, settled) {
                whole(next)?;
                next += 1;
            }
        }
        (next..buckets).try_for_each(whole)
    }

    fn backward_task(
        &self,
        at: usize,
        parameters: &CudaParameters,
        gradients: &CudaGradients,
        rows: &CudaRows,
        pass: Address,
    ) -> Result<()> {
        let task = &self.schedule.backward[at];
        let node = self.graph.node(task.node);
        let Some(op) = &node.op else { return Ok(()) };
        let inputs: ArrayVec<Tensor, MAX_OPERANDS> =
            task.inputs.iter().map(|&i| self.value(i, rows)).collect();
        let slopes_before = self.slopes[at].map(|Slopes { activation, bias }| {
            let mut numbers = self.graph.node(task.inputs[0]).numbers();
            let number = bias.and_then(|bias| numbers.nth(bias));
            SlopesBefore { activation, sum: number.map(|number| gradients.of(number).at) }
        });
        let mut earlier = self.schedule.backward[..at].iter().zip(&self.slopes);
        let slopes_done = earlier.any(|(by, slopes)| slopes.is_some() && by.inputs[0] == task.node);
        let gradient = |node: NodeId| self.at(self.schedule.gradient[node.0], node, rows);
        let targets = task.inputs.iter().zip(&task.gradients);
        let input_gradients: ArrayVec<Option<(Tensor, bool)>, MAX_OPERANDS> = targets
            .map(|(&input, write)| write.map(|write| (gradient(input), write == Write::Add)))
            .collect();
        let parameters: ArrayVec<CudaParameter, MAX_OPERANDS> =
            node.numbers().map(|p| parameters.of(p)).collect();
        let parameter_gradients: ArrayVec<CudaParameterGradient, MAX_OPERANDS> =
            node.numbers().map(|p| gradients.of(p)).collect();
        let backward = CudaBackward {
            stream: &self.stream,
            precision: self.precision,
            inputs: &inputs,
            fed: self.is_fed(task),
            parameters: &parameters,
            output: self.value(task.node, rows),
            output_gradient: gradient(task.node),
            input_gradients: &input_gradients,
            parameter_gradients: &parameter_gradients,
            add_weight: task.add_weight,
            batch: rows,
            pass,
            node: task.node.0,
            constants: self.constants(task.node),
            workspace: self.workspace.at(),
            slopes_before,
            slopes_done,
        };
        self.timed(op.name(), || op.cuda_backward(backward))
    }

    /// Fills every buffer with what is not a number, as if from a pass that went wrong.
    pub fn spoil(&self) -> Result<()> {
        self.buffers.iter().try_for_each(|buffer| buffer.upload(0, &vec![0xffu8; buffer.bytes()]))
    }
}

/// What `task` can do on its way back for the op that makes its first input: where nothing else writes that one's
/// gradient.
fn slopes_before(graph: &Graph, schedule: &Schedule, task: &Task) -> Option<Slopes> {
    let does = |id: NodeId| graph.node(id).op.as_ref().map(|op| (op, graph.shape(id).columns));
    let (op, columns) = does(task.node)?;
    let (&input, Some(Write::Set)) = (task.inputs.first()?, task.gradients.first()?) else { return None };
    let written = |task: &Task| {
        let both = task.inputs.iter().zip(&task.gradients);
        both.filter(|&(&to, write)| to == input && write.is_some()).count()
    };
    if !op.does_slopes_before(columns) || schedule.backward.iter().map(written).sum::<usize>() != 1 {
        return None;
    }
    let (before, columns) = does(input)?;
    before.slopes(columns)
}

/// A node's tensor. What has one column, and what is fed a pair, is in single precision whatever
/// the rest is: doses, truths, predictions and losses.
fn tensor(graph: &Graph, node: NodeId, at: Address, rows: usize, precision: Precision) -> Tensor {
    let columns = graph.shape(node).columns;
    let storage = if columns == 1 { Storage::F32 } else { precision.storage() };
    Tensor { at, rows, columns, storage }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cuda::HostDriver;
    use crate::op::{Activation, Add, Linear};

    /// What is done in passing, by the numbers of the ops that are spared it, in a network of two layers and an
    /// output, the second layer's values read once more where `twice`.
    fn spared(twice: bool) -> Vec<(usize, Slopes)> {
        let mut graph = Graph::new();
        let pairs = graph.space("pairs");
        let input = graph.input(pairs, 3);
        let layer = |fan_in| Linear::new(fan_in, 9, Activation::Relu);
        let first = graph.add("first", layer(3), &[input]).unwrap();
        let second = graph.add("second", layer(9), &[first]).unwrap();
        let out = |fan_in| Linear::new(fan_in, 1, Activation::Identity);
        let mut outputs = vec![graph.add("out", out(9), &[second]).unwrap()];
        if twice {
            outputs.push(graph.add("again", out(9), &[second]).unwrap());
        }
        let loss = graph.add("sum", Add, &outputs).unwrap();
        let stream = HostDriver::stream();
        let plan =
            CudaPlan::new(graph.into(), Purpose::Train, loss, &[], &[8], &stream, Precision::Bf16).unwrap();
        let tasks = plan.schedule.backward.iter().zip(&plan.slopes);
        tasks.filter_map(|(task, slopes)| Some((task.inputs[0].0, (*slopes)?))).collect()
    }

    #[test]
    fn an_output_does_the_slopes_of_the_layer_before_where_it_alone_reads_it() {
        let second = Slopes { activation: Activation::Relu, bias: Some(1) };
        assert_eq!(spared(false), [(2, second)]);
        assert_eq!(spared(true), []);
    }
}
