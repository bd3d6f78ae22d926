use crate::Result;
use crate::graph::{Graph, NodeId};
use crate::op::{Activation, Add, Dropout, LayerNorm, Linear};

/// What follows each hidden layer of a network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerStyle {
    pub activation: Activation,
    pub dropout: f64,
    pub layer_norm: bool,
    pub residual: bool,
}

impl LayerStyle {
    /// Adds `widths.len()` layers on top of `x`, called `<name>.<first>` and so on.
    pub fn stack(
        &self,
        graph: &mut Graph,
        name: &str,
        first: usize,
        mut x: NodeId,
        widths: &[usize],
    ) -> Result<NodeId> {
        for (number, &width) in (first..).zip(widths) {
            let name = format!("{name}.{number}");
            let fan_in = graph.shape(x).columns;
            let y = graph.add(&name, Linear::new(fan_in, width, self.activation), &[x])?;
            let y = self.finish(graph, &name, y)?;
            x = if self.residual && fan_in == width {
                graph.add(&format!("{name}.residual"), Add, &[x, y])?
            } else {
                y
            };
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
