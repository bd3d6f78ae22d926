use crate::Result;
use crate::graph::{Graph, NodeId};
use crate::op::{Activation, Add, Gather, Linear, Op};
use std::sync::Arc;

/// An op on inputs of pairs and of entities, each behind a product whose
/// weights are what the derivative is checked for.
#[derive(Clone)]
pub struct OneOp<O> {
    op: O,
    inputs: Vec<(Option<usize>, usize)>,
}

/// A network whose output is the loss.
pub struct Trial {
    /// The network.
    pub graph: Arc<Graph>,
    /// `[pairs, 1]`.
    pub loss: NodeId,
    /// What is fed from outside.
    pub fed: Vec<NodeId>,
    /// Rows a space.
    pub capacity: Vec<usize>,
}

impl<O: Op + Clone + 'static> OneOp<O> {
    /// Without inputs yet.
    pub fn new(op: O) -> Self {
        Self { op, inputs: Vec::new() }
    }

    /// An input of the pairs.
    pub fn input(mut self, columns: usize) -> Self {
        self.inputs.push((None, columns));
        self
    }

    /// An input of a space of its own with `entities` rows, joined by the next map.
    pub fn mapped(mut self, columns: usize, entities: usize) -> Self {
        self.inputs.push((Some(entities), columns));
        self
    }

    /// The op between products, at so many pairs; where `read_twice`, with a second reader of each operand,
    /// so that its own gradients are added to another's. The variance of what is behind it is that of so many
    /// columns, or of its own. Fails where the op does not take its inputs.
    pub fn between(&self, pairs: usize, read_twice: bool, columns_behind: Option<usize>) -> Result<Trial> {
        let mut graph = Graph::new();
        let space_of_pairs = graph.space("pairs");
        let mut capacity = vec![pairs];
        let (mut fed, mut operands) = (Vec::new(), Vec::new());
        for (i, &(entities, columns)) in self.inputs.iter().enumerate() {
            let (space, map) = match entities {
                None => (space_of_pairs, None),
                Some(n) => {
                    let space = graph.space("entities");
                    capacity.push(n);
                    (space, Some(graph.map(space_of_pairs, space)))
                }
            };
            let input = graph.input(space, 3);
            let linear = Linear { bias: false, ..Linear::new(3, columns, Activation::Identity) };
            operands.push((graph.add(&format!("before{i}"), linear, &[input])?, map));
            fed.push(input);
        }
        let inputs: Vec<NodeId> = operands.iter().map(|operand| operand.0).collect();
        let tested = graph.add("tested", self.op.clone(), &inputs)?;
        // Last layers that weigh every value of a result differently.
        let mut results = vec![tested];
        for (i, &(operand, map)) in operands.iter().enumerate().filter(|_| read_twice) {
            results.push(match map {
                Some(map) => graph.add(&format!("again{i}"), Gather { map }, &[operand])?,
                None => operand,
            });
        }
        let mut weighed = Vec::new();
        for (i, &result) in results.iter().enumerate() {
            let fan_in = columns_behind.unwrap_or(graph.shape(result).columns);
            weighed.push(graph.add(
                &format!("after{i}"),
                Linear::new(fan_in, 1, Activation::Tanh),
                &[result],
            )?);
        }
        let loss = graph.add("sum", Add, &weighed)?;
        Ok(Trial { graph: Arc::new(graph), loss, fed, capacity })
    }
}
