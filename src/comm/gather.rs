use super::{Communicator, Tag};

/// Brings `values` of every rank to rank 0, in the order of ranks; the others
/// get an empty list.
pub fn gather(comm: &dyn Communicator, values: Vec<f32>) -> Vec<f32> {
    if comm.rank() != 0 {
        comm.send(0, Tag::Gather, bytemuck::cast_slice(&values));
        return Vec::new();
    }
    let mut all = values;
    for rank in 1..comm.size() {
        let (_, bytes) = comm.receive(Some(rank), Tag::Gather);
        all.extend(bytes.chunks_exact(4).map(|b| f32::from_ne_bytes([b[0], b[1], b[2], b[3]])));
    }
    all
}
