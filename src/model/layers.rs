use crate::Result;
use crate::graph::{Graph, NodeId};
use crate::op::{Activation, Add, BitLinear, BitsEnds, BitsId, Dropout, LayerNorm, Linear, SpaceId};

/// What a layer reads.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    /// A tensor.
    Tensor(NodeId),
    /// A table of bits.
    Bits(BitsId, BitsEnds),
}

impl Source {
    /// The features of an entity: numbers, or bits.
    pub fn features(graph: &mut Graph, space: SpaceId, columns: usize, bits: bool) -> Self {
        if bits {
            let (id, ends) = graph.bits(space, columns);
            Source::Bits(id, ends)
        } else {
            Source::Tensor(graph.input(space, columns))
        }
    }

    /// Values a row.
    pub fn columns(self, graph: &Graph) -> usize {
        match self {
            Source::Tensor(x) => graph.shape(x).columns,
            Source::Bits(_, ends) => ends.columns,
        }
    }

    /// Adds a layer that reads this.
    pub fn linear(self, graph: &mut Graph, name: &str, layer: Linear) -> Result<NodeId> {
        match self {
            Source::Tensor(x) => graph.add(name, layer, &[x]),
            Source::Bits(bits, ends) => {
                let Linear { columns, bias, activation, variance } = layer;
                graph.add(name, BitLinear { bits, ends, columns, bias, activation, variance }, &[])
            }
        }
    }
}

/// What follows each hidden layer of a network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerStyle {
    pub activation: Activation,
    pub dropout: f64,
    pub layer_norm: bool,
    pub residual: bool,
}

impl LayerStyle {
    /// Nothing but the activation.
    pub fn plain(activation: Activation) -> Self {
        Self { activation, dropout: 0.0, layer_norm: false, residual: false }
    }

    /// Adds `widths.len()` layers on top of `x`, called `<name>.<first>` and so on.
    pub fn stack(
        &self,
        graph: &mut Graph,
        name: &str,
        first: usize,
        mut x: Source,
        widths: &[usize],
    ) -> Result<Source> {
        for (number, &width) in (first..).zip(widths) {
            let name = format!("{name}.{number}");
            let fan_in = x.columns(graph);
            let y = x.linear(graph, &name, Linear::new(fan_in, width, self.activation))?;
            let y = self.finish(graph, &name, y)?;
            x = Source::Tensor(match x {
                Source::Tensor(x) if self.residual && fan_in == width => {
                    graph.add(&format!("{name}.residual"), Add, &[x, y])?
                }
                _ => y,
            });
        }
        Ok(x)
    }

    /// Adds what follows a layer's activation: layer norm, then dropout.
    pub fn finish(&self, graph: &mut Graph, name: &str, mut x: NodeId) -> Result<NodeId> {
        if self.layer_norm {
            x = graph.add(&format!("{name}.norm"), LayerNorm, &[x])?;
        }
        if self.dropout > 0.0 {
            let space = graph.shape(x).space;
            x = graph.add(&format!("{name}.dropout"), Dropout { rate: self.dropout, space }, &[x])?;
        }
        Ok(x)
    }
}
