use crate::graph::{CpuPlan, Graph, NodeId};
use crate::op::Number;

/// Values that look random and stay away from kinks at zero.
pub fn value(i: usize) -> f64 {
    let x = ((i as f64 + 1.0) * 12.9898).sin() * 43758.5453;
    let x = 2.0 * (x - x.floor()) - 1.0;
    x + 0.1 * x.signum()
}

/// Fills a plan with so many made-up rows a space, maps and inputs.
pub fn fill<T: Number>(plan: &mut CpuPlan<T>, graph: &Graph, fed: &[NodeId], counts: &[usize]) {
    let rows = plan.rows_mut();
    for (space, &n) in counts.iter().enumerate() {
        rows.count[space] = n;
        rows.number[space] = (0..n as u32).map(|r| 10 * r + 1).collect();
    }
    for (map, ends) in rows.maps.iter_mut().zip(graph.maps()) {
        let to = counts[ends.to.0];
        map.index = (0..counts[ends.from.0]).map(|p| ((p * p + 1) % to) as u32).collect();
        map.invert(to);
    }
    for (table, ends) in rows.bits.iter_mut().zip(graph.bit_tables()) {
        table.ones.clear();
        for row in 0..counts[ends.space.0] {
            let ones: Vec<u32> = (0..ends.columns as u32).filter(|c| (row as u32 + c * c) % 3 == 1).collect();
            table.ones.push(&ones);
        }
        table.invert(ends.columns);
    }
    for (i, &input) in fed.iter().enumerate() {
        if let Some((values, _)) = plan.input_mut(input) {
            values.iter_mut().enumerate().for_each(|(j, v)| *v = T::of(value(1000 * i + j)));
        }
    }
}
