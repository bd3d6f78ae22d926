use crate::Result;
use crate::batch::{Assembler, Ports, part};
use crate::comm::{Communicator, gather};
use crate::feature::ScaledFeatures;
use crate::graph::{CpuPlan, Graph, NodeId, Parameters, Purpose};
use crate::op::Step;
use crate::store::Entity;
use crate::train::EMBEDDING_CHUNK;
use std::sync::Arc;

/// What a tensor of samples comes to for every row of `features`, `[rows, columns of node]`, without noise. The
/// ranks of `world` compute a share each, in whole chunks, so that a row has the same bits on any number of them; the
/// first one gets all, the others nothing. Every rank calls this.
pub fn rows_of(
    graph: &Arc<Graph>,
    ports: Ports,
    node: NodeId,
    parameters: &Parameters<f32>,
    features: [ScaledFeatures; 2],
    world: &dyn Communicator,
) -> Result<Vec<f32>> {
    let rows = features[Entity::Sample as usize].table().rows();
    let capacity = ports.capacity(0, [EMBEDDING_CHUNK; 2]);
    let mut plan = CpuPlan::new(graph.clone(), Purpose::Score, node, &[], &capacity)?;
    let mut assembler = Assembler::new(ports, features);
    let own = part(rows.div_ceil(EMBEDDING_CHUNK), world.size(), world.rank());
    let mut values = Vec::with_capacity(own.len() * EMBEDDING_CHUNK * graph.shape(node).columns);
    for chunk in own {
        let last = rows.min((chunk + 1) * EMBEDDING_CHUNK);
        let entities: Vec<u32> = (chunk as u32 * EMBEDDING_CHUNK as u32..last as u32).collect();
        assembler.feed_entities(&mut plan, Entity::Sample, &entities);
        plan.forward(parameters, Step { seed: 0, number: 0 });
        values.extend_from_slice(plan.output());
    }
    Ok(gather(world, 0, values))
}
