use super::parameters::zeros;
use super::schedule::{Task, Write};
use super::{Gradients, Graph, NodeId, Parameters, Purpose, Schedule};
use crate::Result;
use crate::op::{Backward, Forward, InputGradient, MAX_OPERANDS, Number, Rows, Step};
use arrayvec::ArrayVec;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A network compiled for the CPU: a schedule with its buffers, laid out once.
/// It holds no parameters, so several plans can serve one set of them.
#[derive(Debug)]
pub struct CpuPlan<T> {
    graph: Arc<Graph>,
    schedule: Schedule,
    buffers: Vec<Vec<T>>,
    rows: Rows,
    /// Time spent in each node's kernels.
    spent: Vec<Duration>,
}

/// The matrix products of one layer: rows `from` columns wide to rows `to` columns wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Product {
    /// Rows of the batch at hand.
    pub rows: usize,
    /// Columns of the input.
    pub from: usize,
    /// Columns of the output.
    pub to: usize,
    /// Whether the way back goes on to the input.
    pub input_gradient: bool,
}

impl<T: Number> CpuPlan<T> {
    /// Compiles what `output` needs for at most `capacity` rows a space, as
    /// [`Schedule::new`] has it. Fails if there is no memory for it.
    pub fn new(
        graph: Arc<Graph>,
        purpose: Purpose,
        output: NodeId,
        fed: &[NodeId],
        capacity: &[usize],
    ) -> Result<Self> {
        let schedule = Schedule::new(&graph, purpose, output, fed, capacity)?;
        let buffers = schedule.buffers.iter().map(|&n| zeros(n)).collect::<Result<_>>()?;
        let rows = Rows::with_capacity(capacity, graph.maps(), graph.bit_tables());
        let spent = vec![Duration::ZERO; graph.len()];
        Ok(Self { graph, schedule, buffers, rows, spent })
    }

    /// Rows, row numbers and maps of the batch at hand, to be filled within capacity.
    pub fn rows_mut(&mut self) -> &mut Rows {
        &mut self.rows
    }

    /// Rows of the batch at hand.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// The rows in use of a tensor that is fed from outside, to be filled; with
    /// the batch's rows, which are already there. `None` if nothing reads it.
    pub fn input_mut(&mut self, input: NodeId) -> Option<(&mut [T], &Rows)> {
        let length = self.length(input);
        let buffer = self.schedule.value[input.0]?;
        Some((&mut self.buffers[buffer][..length], &self.rows))
    }

    /// The rows in use of the output that the plan was compiled for.
    pub fn output(&self) -> &[T] {
        self.value(self.schedule.output)
    }

    fn value(&self, node: NodeId) -> &[T] {
        match self.schedule.value[node.0] {
            Some(buffer) => &self.buffers[buffer][..self.length(node)],
            None => &[],
        }
    }

    fn length(&self, node: NodeId) -> usize {
        let shape = self.graph.shape(node);
        self.rows.of(shape.space) * shape.columns
    }

    /// The products of every dense layer that learns, for the batch at hand.
    pub fn products(&self) -> Vec<Product> {
        products(&self.graph, &self.schedule, |space| self.rows.of(space))
    }

    /// Op of every node, and the time spent in its kernels since the plan was made
    /// or [`Self::reset_spent`].
    pub fn spent(&self) -> impl Iterator<Item = (&'static str, Duration)> {
        self.spent.iter().enumerate().filter_map(|(id, &time)| {
            let op = self.graph.node(NodeId(id)).op.as_ref()?;
            Some((op.name(), time))
        })
    }

    /// Starts to count time anew.
    pub fn reset_spent(&mut self) {
        self.spent.fill(Duration::ZERO);
    }

    /// Fills every buffer with NaN, as if from a pass that went wrong.
    #[cfg(test)]
    pub(crate) fn spoil(&mut self) {
        self.buffers.iter_mut().for_each(|buffer| buffer.fill(T::nan()));
    }

    /// Computes the output from what was fed.
    pub fn forward(&mut self, parameters: &Parameters<T>, step: Step) {
        for at in 0..self.schedule.forward.len() {
            self.forward_task(at, parameters, step);
        }
    }

    fn forward_task(&mut self, at: usize, parameters: &Parameters<T>, step: Step) {
        let Task { node: id, ref inputs, .. } = self.schedule.forward[at];
        let node = self.graph.node(id);
        let (Some(op), Some(buffer)) = (&node.op, self.schedule.value[id.0]) else { return };
        let started = Instant::now();
        let mut output = std::mem::take(&mut self.buffers[buffer]);
        {
            let inputs: ArrayVec<&[T], MAX_OPERANDS> = inputs.iter().map(|&i| self.value(i)).collect();
            let parameters: ArrayVec<&[T], MAX_OPERANDS> =
                node.numbers().map(|p| parameters.slice(p)).collect();
            T::kernel(op.as_ref()).forward(Forward {
                inputs: &inputs,
                parameters: &parameters,
                output: &mut output[..self.length(id)],
                columns: node.shape.columns,
                rows: &self.rows,
                step,
                node: id.0,
            });
        }
        self.buffers[buffer] = output;
        self.spent[id.0] += started.elapsed();
        crate::status::beat();
    }

    /// Zeros for the gradients of this network. Fails if there is no memory for them.
    pub fn gradients(&self) -> Result<Gradients<T>> {
        Gradients::zeros(&self.graph)
    }

    /// Computes the gradient of `scale` times the sum of the losses that
    /// forward left, for every parameter; what `gradients` held is lost. As soon
    /// as a bucket is whole, `whole` is told its number and may take it out.
    pub fn backward(
        &mut self,
        parameters: &Parameters<T>,
        gradients: &mut Gradients<T>,
        scale: T,
        step: Step,
        whole: &mut dyn FnMut(usize, &mut Gradients<T>),
    ) {
        let length = self.length(self.schedule.output);
        if let Some(seed) = self.schedule.gradient[self.schedule.output.0] {
            self.buffers[seed][..length].fill(scale);
        }
        let mut next = 0;
        for at in 0..self.schedule.backward.len() {
            self.backward_task(at, parameters, gradients, step);
            let settled = self.schedule.settled[at];
            while next < gradients.buckets() && gradients.is_whole(next, settled) {
                whole(next, gradients);
                next += 1;
            }
        }
        (next..gradients.buckets()).for_each(|bucket| whole(bucket, gradients));
    }

    fn backward_task(
        &mut self,
        at: usize,
        parameters: &Parameters<T>,
        gradients: &mut Gradients<T>,
        step: Step,
    ) {
        let Task { node: id, ref inputs, gradients: ref targets, add_weight } = self.schedule.backward[at];
        let node = self.graph.node(id);
        let (Some(op), Some(buffer)) = (&node.op, self.schedule.gradient[id.0]) else { return };
        let started = Instant::now();
        let keeps = op.keeps();
        let mut output_gradient = std::mem::take(&mut self.buffers[buffer]);
        let mut taken: ArrayVec<Option<Vec<T>>, MAX_OPERANDS> = ArrayVec::new();
        for (input, target) in inputs.iter().zip(targets) {
            let buffer = target.and(self.schedule.gradient[input.0]);
            taken.push(buffer.map(|b| std::mem::take(&mut self.buffers[b])));
        }
        {
            let read = |node: NodeId, kept: bool| if kept { self.value(node) } else { &[] };
            let values: ArrayVec<&[T], MAX_OPERANDS> =
                inputs.iter().map(|&i| read(i, keeps.inputs)).collect();
            let parameters: ArrayVec<&[T], MAX_OPERANDS> =
                node.numbers().map(|p| parameters.slice(p)).collect();
            let mut parameter_gradients = gradients.slices_mut::<MAX_OPERANDS>(node.numbers());
            let mut input_gradients: ArrayVec<Option<InputGradient<'_, T>>, MAX_OPERANDS> = ArrayVec::new();
            for ((input, target), taken) in inputs.iter().zip(targets).zip(&mut taken) {
                let length = self.length(*input);
                input_gradients.push(match (taken, target) {
                    (Some(data), Some(write)) => {
                        Some(InputGradient { data: &mut data[..length], accumulate: *write == Write::Add })
                    }
                    _ => None,
                });
            }
            T::kernel(op.as_ref()).backward(Backward {
                inputs: &values,
                parameters: &parameters,
                output: read(id, keeps.output),
                output_gradient: &mut output_gradient[..self.length(id)],
                input_gradients: &mut input_gradients,
                parameter_gradients: &mut parameter_gradients,
                add_weight,
                columns: node.shape.columns,
                rows: &self.rows,
                step,
                node: id.0,
            });
        }
        for (input, data) in inputs.iter().zip(taken) {
            if let (Some(data), Some(buffer)) = (data, self.schedule.gradient[input.0]) {
                self.buffers[buffer] = data;
            }
        }
        self.buffers[buffer] = output_gradient;
        self.spent[id.0] += started.elapsed();
        crate::status::beat();
    }
}

/// The products of every dense layer that learns, for so many rows of each space.
pub(super) fn products(
    graph: &Graph,
    schedule: &Schedule,
    rows: impl Fn(crate::op::SpaceId) -> usize,
) -> Vec<Product> {
    let layers = schedule.backward.iter().filter_map(|task| {
        let node = graph.node(task.node);
        matches!(node.op.as_ref()?.name(), "linear" | "tied linear").then(|| Product {
            rows: rows(node.shape.space),
            from: graph.shape(task.inputs[0]).columns,
            to: node.shape.columns,
            input_gradient: task.gradients[0].is_some(),
        })
    });
    layers.collect()
}
