//! A network as a graph of ops. A model file adds nodes; the graph infers
//! shapes and owns the layout of the parameters; `Schedule` derives the way
//! back and lays every buffer out once; `CpuPlan` and `CudaPlan` run it in those.

#[cfg(test)]
pub(crate) mod check;
#[cfg(test)]
pub(crate) mod check_cuda;
/// A network on a device held against the same on the processors.
pub mod compare;
mod cuda_parameters;
mod cuda_plan;
mod gradients;
mod parameters;
mod plan;
mod schedule;
#[cfg(test)]
mod shared_weight_tests;

pub use cuda_parameters::{CudaGradients, CudaLayout, CudaParameters};
pub use cuda_plan::CudaPlan;
pub use gradients::Gradients;
pub use parameters::{Parameter, Parameters};
pub use plan::{CpuPlan, Product};
pub use schedule::{Purpose, Schedule};

use crate::op::{BitsEnds, BitsId, MAX_OPERANDS, MapEnds, MapId, Op, ParameterSpec, Rule, Shape, SpaceId};
use crate::{Error, Result};

/// One tensor of a network, and the op or input that makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) usize);

#[derive(Debug)]
pub(crate) struct Node {
    pub shape: Shape,
    /// `None` for a tensor that is fed from outside.
    pub op: Option<Box<dyn Op>>,
    pub inputs: Vec<NodeId>,
    /// The weight of an earlier node that is this one's first parameter, by its number.
    pub shared: Option<usize>,
    /// Numbers of the parameters that it brings along.
    pub parameters: std::ops::Range<usize>,
}

impl Node {
    /// Numbers of all its parameters, as [`Op::parameters`] lists them: ascending, but not always
    /// one after another.
    pub fn numbers(&self) -> impl DoubleEndedIterator<Item = usize> + use<> {
        self.shared.into_iter().chain(self.parameters.clone())
    }

    /// Number of its first parameter, if it has any.
    pub fn first_parameter(&self) -> Option<usize> {
        self.numbers().next()
    }
}

/// Spaces, maps, and nodes in an order in which they can be computed.
#[derive(Debug, Default)]
pub struct Graph {
    spaces: Vec<String>,
    maps: Vec<MapEnds>,
    bits: Vec<BitsEnds>,
    nodes: Vec<Node>,
    specs: Vec<(String, ParameterSpec)>,
}

impl Graph {
    /// A graph without nodes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a set of rows, such as `pairs`.
    pub fn space(&mut self, name: &str) -> SpaceId {
        self.spaces.push(name.into());
        SpaceId(self.spaces.len() - 1)
    }

    /// Adds a map by which each row of `from` names a row of `to`.
    pub fn map(&mut self, from: SpaceId, to: SpaceId) -> MapId {
        self.maps.push(MapEnds { from, to });
        MapId(self.maps.len() - 1)
    }

    /// Adds a table of zeros and ones that is fed from outside by the places of its ones.
    pub fn bits(&mut self, space: SpaceId, columns: usize) -> (BitsId, BitsEnds) {
        let ends = BitsEnds { space, columns };
        self.bits.push(ends);
        (BitsId(self.bits.len() - 1), ends)
    }

    /// Adds a tensor that is fed from outside.
    pub fn input(&mut self, space: SpaceId, columns: usize) -> NodeId {
        self.push(Node {
            shape: Shape { space, columns },
            op: None,
            inputs: Vec::new(),
            shared: None,
            parameters: self.specs.len()..self.specs.len(),
        })
    }

    /// Adds an op on tensors that are there. Its parameters are called
    /// `<name>.<their own name>`. Fails if the shapes do not fit.
    pub fn add(&mut self, name: &str, op: impl Op + 'static, inputs: &[NodeId]) -> Result<NodeId> {
        self.add_sharing(name, Box::new(op), inputs, None)
    }

    /// Adds an op whose first parameter is not its own but that of node `with`: its weight, as a
    /// decoder of tied weights has that of the encoder (Vincent et al. 2010). The parameter keeps the
    /// place, the name, the start and the rule that `with` gave it, and its gradient is the sum over all
    /// nodes that have it. The other parameters are the op's own, as in [`Self::add`]. Fails if the
    /// shapes do not fit, or if one of the two cannot share a weight ([`Op::shares_weight`]).
    pub fn add_tied(
        &mut self,
        name: &str,
        op: impl Op + 'static,
        inputs: &[NodeId],
        with: NodeId,
    ) -> Result<NodeId> {
        let owner = &self.nodes[with.0];
        let both = op.shares_weight() && owner.op.as_ref().is_some_and(|op| op.shares_weight());
        let Some(shared) = owner.first_parameter().filter(|_| both) else {
            let of = owner.op.as_ref().map_or("an input", |op| op.name());
            let columns = owner.shape.columns;
            return Err(Error::Network(format!(
                "node '{name}': {} cannot share the weight of {of} of {columns} columns, which takes dense layers \
                 of two units or more",
                op.name()
            )));
        };
        self.add_sharing(name, Box::new(op), inputs, Some(shared))
    }

    /// Adds an op whose first parameter is, if told, that of this number.
    fn add_sharing(
        &mut self,
        name: &str,
        op: Box<dyn Op>,
        inputs: &[NodeId],
        shared: Option<usize>,
    ) -> Result<NodeId> {
        let at = |what: String| Error::Network(format!("node '{name}': {what}"));
        if inputs.len() > MAX_OPERANDS {
            return Err(at(format!("{} inputs, of at most {MAX_OPERANDS}", inputs.len())));
        }
        if (1..inputs.len()).any(|i| inputs[..i].contains(&inputs[i])) {
            return Err(at("the same tensor is two of its inputs".into()));
        }
        let shapes: Vec<Shape> = inputs.iter().map(|&i| self.shape(i)).collect();
        let shape = op.shape(&shapes, &self.maps).map_err(at)?;
        let first = self.specs.len();
        let mut parameters = op.parameters(&shapes);
        if parameters.len() > MAX_OPERANDS {
            return Err(at(format!("{} parameters, of at most {MAX_OPERANDS}", parameters.len())));
        }
        for ParameterSpec { name, rule, .. } in &parameters {
            if let Rule::Descent { rate } = rule
                && !(rate.is_finite() && *rate >= 0.0)
            {
                return Err(at(format!(
                    "'{name}' moves at a rate of {rate}; give one that is finite, from zero"
                )));
            }
        }
        if let Some(shared) = shared {
            let (of, there) = &self.specs[shared];
            match parameters.first().map(|own| own.shape) {
                Some(shape) if shape == there.shape => parameters.remove(0),
                shape => {
                    let shape = shape.unwrap_or_default();
                    return Err(at(format!("a weight of {shape:?} cannot be '{of}' of {:?}", there.shape)));
                }
            };
        }
        self.specs.extend(parameters.into_iter().map(|p| (format!("{name}.{}", p.name), p)));
        Ok(self.push(Node {
            shape,
            op: Some(op),
            inputs: inputs.to_vec(),
            shared,
            parameters: first..self.specs.len(),
        }))
    }

    fn push(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        NodeId(self.nodes.len() - 1)
    }

    /// Shape of a tensor.
    pub fn shape(&self, node: NodeId) -> Shape {
        self.nodes[node.0].shape
    }

    /// The maps, by number.
    pub fn maps(&self) -> &[MapEnds] {
        &self.maps
    }

    /// The tables of bits, by number.
    pub fn bit_tables(&self) -> &[BitsEnds] {
        &self.bits
    }

    /// Names of the spaces, by number.
    pub fn spaces(&self) -> &[String] {
        &self.spaces
    }

    /// The tensors of other spaces that ops of `output`'s space, as far as `output`
    /// needs them, read directly or after ops that pass through: where a scoring pass can be cut into
    /// entities, computed once, and pairs, streamed.
    pub fn boundary(&self, output: NodeId) -> Vec<NodeId> {
        let stands_for = self.stand_ins(Purpose::Score);
        let space = self.shape(output).space;
        let mut needed = vec![false; self.nodes.len()];
        needed[stands_for[output.0].0] = true;
        for id in (0..self.nodes.len()).rev().filter(|&id| self.nodes[id].shape.space == space) {
            if needed[id] {
                self.nodes[id].inputs.iter().for_each(|i| needed[stands_for[i.0].0] = true);
            }
        }
        let readers =
            self.nodes.iter().zip(&needed).filter(|(node, needed)| **needed && node.shape.space == space);
        let read = readers.flat_map(|(node, _)| node.inputs.iter().map(|i| stands_for[i.0]));
        let mut boundary: Vec<NodeId> = read.filter(|&n| self.shape(n).space != space).collect();
        boundary.sort();
        boundary.dedup();
        boundary
    }

    /// For each node, the one that holds its value: when scoring, ops that
    /// pass through have none of their own.
    fn stand_ins(&self, purpose: Purpose) -> Vec<NodeId> {
        let mut stand_ins: Vec<NodeId> = (0..self.nodes.len()).map(NodeId).collect();
        for (id, node) in self.nodes.iter().enumerate() {
            let passes = node.op.as_ref().is_some_and(|op| op.passes_through_when_scoring());
            if purpose == Purpose::Score && passes {
                stand_ins[id] = stand_ins[node.inputs[0].0];
            }
        }
        stand_ins
    }

    /// Space and forward multiply-adds a row of every op that has any.
    pub fn multiply_adds(&self) -> impl Iterator<Item = (SpaceId, usize)> {
        self.nodes.iter().filter_map(|node| {
            let inputs: Vec<Shape> = node.inputs.iter().map(|&i| self.shape(i)).collect();
            let count = node.op.as_ref()?.multiply_adds(&inputs);
            (count > 0).then_some((node.shape.space, count))
        })
    }

    /// Gives a parameter another rule than its op does.
    #[cfg(test)]
    pub(crate) fn set_rule(&mut self, parameter: &str, rule: Rule) {
        let spec = self.specs.iter_mut().find(|(name, _)| name == parameter);
        spec.unwrap().1.rule = rule;
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn specs(&self) -> &[(String, ParameterSpec)] {
        &self.specs
    }
}
