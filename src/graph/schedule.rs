use super::{Graph, NodeId};
use crate::op::SpaceId;
use crate::{Error, Result};

/// What a plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Forward, then backward from a loss.
    Train,
    /// Forward only, space by space: entities once, then pairs in many batches.
    Score,
}

/// One op of a pass: what it is and the buffers it touches.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub node: NodeId,
    /// The nodes it reads, with ops that pass through left out.
    pub inputs: Vec<NodeId>,
    /// Backward only, one an input: the gradient's place, and whether to add to it.
    pub gradients: Vec<Option<bool>>,
}

/// The order of ops forward and backward and the buffer of every tensor: all
/// that can be decided before numbers are at hand, on any device.
#[derive(Debug)]
pub struct Schedule {
    pub(crate) forward: Vec<Task>,
    pub(crate) backward: Vec<Task>,
    /// Buffer of each node's value, by node.
    pub(crate) value: Vec<Option<usize>>,
    /// Buffer of each node's gradient, by node.
    pub(crate) gradient: Vec<Option<usize>>,
    /// Length of each buffer, in values.
    pub(crate) buffers: Vec<usize>,
    pub(crate) output: NodeId,
    pub(crate) capacity: Vec<usize>,
}

impl Schedule {
    /// Schedules what `output` needs, for at most `capacity` rows a space.
    /// For training, `output` is the loss of each row.
    pub fn new(graph: &Graph, purpose: Purpose, output: NodeId, capacity: &[usize]) -> Result<Self> {
        if capacity.len() != graph.spaces().len() {
            return Err(Error::Network(format!(
                "capacities for {} of {} spaces",
                capacity.len(),
                graph.spaces().len()
            )));
        }
        // Where a scoring plan finds a node's value: ops that pass through have none of their own.
        let mut stands_for: Vec<NodeId> = (0..graph.len()).map(NodeId).collect();
        if purpose == Purpose::Score {
            for id in 0..graph.len() {
                let node = graph.node(NodeId(id));
                if node.op.as_ref().is_some_and(|op| op.passes_through_when_scoring()) {
                    stands_for[id] = stands_for[node.inputs[0].0];
                }
            }
        }
        let output = stands_for[output.0];
        let mut needed = vec![false; graph.len()];
        let mut learns = vec![false; graph.len()];
        needed[output.0] = true;
        for id in (0..=output.0).rev().filter(|&id| stands_for[id].0 == id) {
            if needed[id] {
                graph.node(NodeId(id)).inputs.iter().for_each(|i| needed[stands_for[i.0].0] = true);
            }
        }
        for id in 0..graph.len() {
            let node = graph.node(NodeId(id));
            learns[id] = !node.parameters.is_empty() || node.inputs.iter().any(|i| learns[i.0]);
        }
        let tasks = (0..=output.0).filter(|&id| needed[id] && graph.node(NodeId(id)).op.is_some());
        let forward: Vec<Task> = tasks
            .map(|id| Task {
                node: NodeId(id),
                inputs: graph.node(NodeId(id)).inputs.iter().map(|i| stands_for[i.0]).collect(),
                gradients: Vec::new(),
            })
            .collect();
        let mut backward = Vec::new();
        if purpose == Purpose::Train {
            let mut written = vec![false; graph.len()];
            for task in forward.iter().rev().filter(|t| learns[t.node.0]) {
                let mut mark =
                    |input: &NodeId| learns[input.0].then(|| std::mem::replace(&mut written[input.0], true));
                let gradients = task.inputs.iter().map(&mut mark).collect();
                backward.push(Task { gradients, ..task.clone() });
            }
        }
        let mut schedule = Self {
            forward,
            backward,
            value: vec![None; graph.len()],
            gradient: vec![None; graph.len()],
            buffers: Vec::new(),
            output,
            capacity: capacity.to_vec(),
        };
        schedule.place(graph, purpose, &needed);
        Ok(schedule)
    }

    /// Gives every tensor a buffer; tensors that are never alive together share one.
    fn place(&mut self, graph: &Graph, purpose: Purpose, needed: &[bool]) {
        let end = self.forward.len() + self.backward.len();
        // The last task that reads each value, as a position in forward then backward.
        let mut last = vec![0; graph.len()];
        for (at, task) in self.forward.iter().enumerate() {
            last[task.node.0] = last[task.node.0].max(at);
            for input in &task.inputs {
                // Entities are computed once and read by every later batch of pairs.
                let crosses = graph.shape(*input).space != graph.shape(task.node).space;
                last[input.0] =
                    if purpose == Purpose::Score && crosses { end } else { last[input.0].max(at) };
            }
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
        let size = |schedule: &Self, node: NodeId| {
            let shape = graph.shape(node);
            schedule.capacity[shape.space.0] * shape.columns
        };
        // What is fed from outside stays: nobody says when it is fed.
        for id in (0..graph.len()).filter(|&id| needed[id] && graph.node(NodeId(id)).op.is_none()) {
            self.value[id] = Some(pool.take(size(self, NodeId(id)), None));
            last[id] = end;
        }
        for at in 0..self.forward.len() {
            let node = self.forward[at].node;
            // Scoring runs the tasks of one space apart from those of another.
            let owner = (purpose == Purpose::Score).then(|| graph.shape(node).space);
            self.value[node.0] = Some(pool.take(size(self, node), owner));
            let done = |node: &NodeId| last[node.0] == at;
            let finished: Vec<NodeId> =
                self.forward[at].inputs.iter().copied().chain([node]).filter(done).collect();
            finished.iter().for_each(|n| pool.give(self.value[n.0]));
        }
        if purpose == Purpose::Train {
            self.gradient[self.output.0] = Some(pool.take(size(self, self.output), None));
        }
        for at in 0..self.backward.len() {
            let Task { node, inputs, gradients } = self.backward[at].clone();
            for (input, accumulate) in inputs.iter().zip(&gradients) {
                if *accumulate == Some(false) {
                    self.gradient[input.0] = Some(pool.take(size(self, *input), None));
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
    }

    /// Values held by all buffers together.
    pub fn memory(&self) -> usize {
        self.buffers.iter().sum()
    }
}

/// Buffers by size and whether they are free; a free one is used again by
/// tensors of the same owner.
#[derive(Default)]
struct Pool {
    sizes: Vec<usize>,
    owners: Vec<Option<SpaceId>>,
    free: Vec<bool>,
}

impl Pool {
    fn take(&mut self, size: usize, owner: Option<SpaceId>) -> usize {
        let candidates = (0..self.sizes.len()).filter(|&i| self.free[i] && self.owners[i] == owner);
        // The smallest that is large enough, else the largest, which then grows.
        let best = candidates.min_by_key(|&i| {
            let fits = self.sizes[i] >= size;
            (!fits, if fits { self.sizes[i] } else { usize::MAX - self.sizes[i] })
        });
        let buffer = best.unwrap_or_else(|| {
            self.sizes.push(0);
            self.owners.push(owner);
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
