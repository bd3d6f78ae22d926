use super::{Graph, NodeId};
use crate::{Error, Result};

/// What a plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Forward, then backward from a loss.
    Train,
    /// Forward only.
    Score,
}

/// One op of a pass: what it is and the buffers it touches.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub node: NodeId,
    /// The nodes it reads, with ops that pass through left out.
    pub inputs: Vec<NodeId>,
    /// Backward only, one an input: how its gradient is written, if it has one.
    pub gradients: Vec<Option<Write>>,
    /// Backward only: whether a task before this one has written the gradient of its first parameter.
    pub add_weight: bool,
}

/// How a gradient is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    /// For the first time in a pass.
    Set,
    /// On top of what another op wrote.
    Add,
}

/// The order of ops forward and backward and the buffer of every tensor: all
/// that can be decided before numbers are at hand, on any device.
#[derive(Debug)]
pub struct Schedule {
    pub(crate) forward: Vec<Task>,
    pub(crate) backward: Vec<Task>,
    /// One a task of `backward`: the first parameter of which it and all after it, by number, have
    /// their gradient once the task is done.
    pub(crate) settled: Vec<usize>,
    /// Buffer of each node's value, by node.
    pub(crate) value: Vec<Option<usize>>,
    /// Buffer of each node's gradient, by node.
    pub(crate) gradient: Vec<Option<usize>>,
    /// Length of each buffer, in values, or in what [`Schedule::measured`] measures.
    pub(crate) buffers: Vec<usize>,
    pub(crate) output: NodeId,
    pub(crate) capacity: Vec<usize>,
}

impl Schedule {
    /// Schedules what `output` needs, for at most `capacity` rows a space.
    /// For training, `output` is the loss of each row. The tensors `fed` are
    /// taken as given, and what makes them is left out.
    pub fn new(
        graph: &Graph,
        purpose: Purpose,
        output: NodeId,
        fed: &[NodeId],
        capacity: &[usize],
    ) -> Result<Self> {
        let values = |rows: usize, node: NodeId| rows.checked_mul(graph.shape(node).columns);
        Self::measured(graph, purpose, output, fed, capacity, &values)
    }

    /// Like [`Self::new`], its buffers as long as `measure` says for the tensor of
    /// so many rows that a node has; `None` where that cannot be counted.
    pub fn measured(
        graph: &Graph,
        purpose: Purpose,
        output: NodeId,
        fed: &[NodeId],
        capacity: &[usize],
        measure: &dyn Fn(usize, NodeId) -> Option<usize>,
    ) -> Result<Self> {
        if capacity.len() != graph.spaces().len() {
            return Err(Error::Network(format!(
                "capacities for {} of {} spaces",
                capacity.len(),
                graph.spaces().len()
            )));
        }
        let stands_for = graph.stand_ins(purpose);
        let output = stands_for[output.0];
        let given = |id: usize| graph.node(NodeId(id)).op.is_none() || fed.contains(&NodeId(id));
        let mut needed = vec![false; graph.len()];
        let mut learns = vec![false; graph.len()];
        needed[output.0] = true;
        for id in (0..=output.0).rev().filter(|&id| stands_for[id].0 == id) {
            if needed[id] && !given(id) {
                graph.node(NodeId(id)).inputs.iter().for_each(|i| needed[stands_for[i.0].0] = true);
            }
        }
        for id in 0..graph.len() {
            let node = graph.node(NodeId(id));
            learns[id] =
                !given(id) && (node.first_parameter().is_some() || node.inputs.iter().any(|i| learns[i.0]));
        }
        let tasks = (0..=output.0).filter(|&id| needed[id] && !given(id));
        let forward: Vec<Task> = tasks
            .map(|id| Task {
                node: NodeId(id),
                inputs: graph.node(NodeId(id)).inputs.iter().map(|i| stands_for[i.0]).collect(),
                gradients: Vec::new(),
                add_weight: false,
            })
            .collect();
        let mut backward = Vec::new();
        if purpose == Purpose::Train {
            let mut written = vec![false; graph.len()];
            let mut written_weights = vec![false; graph.specs().len()];
            for task in forward.iter().rev().filter(|t| learns[t.node.0]) {
                let mut mark = |input: &NodeId| {
                    let again = std::mem::replace(&mut written[input.0], true);
                    learns[input.0].then_some(if again { Write::Add } else { Write::Set })
                };
                let gradients = task.inputs.iter().map(&mut mark).collect();
                let weight = graph.node(task.node).first_parameter();
                let add_weight = weight.is_some_and(|at| std::mem::replace(&mut written_weights[at], true));
                backward.push(Task { gradients, add_weight, ..task.clone() });
            }
        }
        // What a node shares is that of an earlier one, which has a smaller number: it settles with that.
        let mut settled = vec![0; backward.len()];
        for at in (1..backward.len()).rev() {
            settled[at - 1] = settled[at].max(graph.node(backward[at].node).parameters.end);
        }
        let mut schedule = Self {
            forward,
            backward,
            settled,
            value: vec![None; graph.len()],
            gradient: vec![None; graph.len()],
            buffers: Vec::new(),
            output,
            capacity: capacity.to_vec(),
        };
        let given: Vec<NodeId> = (0..graph.len()).filter(|&id| needed[id] && given(id)).map(NodeId).collect();
        schedule.place(graph, purpose, &given, measure)?;
        Ok(schedule)
    }

    /// Gives every tensor a buffer; tensors that are never alive together share one.
    fn place(
        &mut self,
        graph: &Graph,
        purpose: Purpose,
        given: &[NodeId],
        measure: &dyn Fn(usize, NodeId) -> Option<usize>,
    ) -> Result<()> {
        let end = self.forward.len() + self.backward.len();
        // The last task that reads each value, as a position in forward then backward.
        let mut last = vec![0; graph.len()];
        for (at, task) in self.forward.iter().enumerate() {
            last[task.node.0] = last[task.node.0].max(at);
            task.inputs.iter().for_each(|i| last[i.0] = last[i.0].max(at));
        }
        for (at, task) in self.backward.iter().enumerate() {
            let at = self.forward.len() + at;
            let keeps = graph.node(task.node).op.as_ref().map(|op| op.keeps());
            if keeps.is_some_and(|k| k.output) {
                last[task.node.0] = last[task.node.0].max(at);
            }
            if keeps.is_some_and(|k| k.inputs) {
                task.inputs.iter().for_each(|i| last[i.0] = last[i.0].max(at));
            }
        }
        last[self.output.0] = end;
        let mut pool = Pool::default();
        let sizes: Vec<Option<usize>> = (0..graph.len())
            .map(|id| measure(self.capacity[graph.shape(NodeId(id)).space.0], NodeId(id)))
            .collect();
        let size = |node: NodeId| {
            sizes[node.0].ok_or_else(|| Error::Network("a tensor has more values than can be counted".into()))
        };
        // What is fed from outside stays: nobody says when it is fed.
        for &node in given {
            self.value[node.0] = Some(pool.take(size(node)?));
            last[node.0] = end;
        }
        for at in 0..self.forward.len() {
            let node = self.forward[at].node;
            self.value[node.0] = Some(pool.take(size(node)?));
            let done = |node: &NodeId| last[node.0] == at;
            let finished: Vec<NodeId> =
                self.forward[at].inputs.iter().copied().chain([node]).filter(done).collect();
            finished.iter().for_each(|n| pool.give(self.value[n.0]));
        }
        if purpose == Purpose::Train {
            self.gradient[self.output.0] = Some(pool.take(size(self.output)?));
        }
        for at in 0..self.backward.len() {
            let Task { node, inputs, gradients, .. } = self.backward[at].clone();
            for (input, write) in inputs.iter().zip(&gradients) {
                if *write == Some(Write::Set) {
                    self.gradient[input.0] = Some(pool.take(size(*input)?));
                }
            }
            pool.give(self.gradient[node.0]);
            let now = self.forward.len() + at;
            let mut finished: Vec<NodeId> =
                inputs.iter().copied().chain([node]).filter(|n| last[n.0] == now).collect();
            finished.sort();
            finished.dedup();
            finished.iter().for_each(|n| pool.give(self.value[n.0]));
        }
        self.buffers = pool.sizes;
        Ok(())
    }

    /// Values held by all buffers together.
    pub fn memory(&self) -> usize {
        self.buffers.iter().sum()
    }
}

/// Buffers by size and whether they are free to be used again.
#[derive(Default)]
struct Pool {
    sizes: Vec<usize>,
    free: Vec<bool>,
}

impl Pool {
    fn take(&mut self, size: usize) -> usize {
        let candidates = (0..self.sizes.len()).filter(|&i| self.free[i]);
        // The smallest that is large enough, else the largest, which then grows.
        let best = candidates.min_by_key(|&i| {
            let fits = self.sizes[i] >= size;
            (!fits, if fits { self.sizes[i] } else { usize::MAX - self.sizes[i] })
        });
        let buffer = best.unwrap_or_else(|| {
            self.sizes.push(0);
            self.free.push(false);
            self.sizes.len() - 1
        });
        self.sizes[buffer] = self.sizes[buffer].max(size);
        self.free[buffer] = false;
        buffer
    }

    fn give(&mut self, buffer: Option<usize>) {
        if let Some(buffer) = buffer {
            self.free[buffer] = true;
        }
    }
}
