use super::{Communicator, Tag};

/// Brings `values` of every rank to rank `root`, in the order of ranks; the
/// others get an empty list.
pub fn gather(comm: &dyn Communicator, root: usize, values: Vec<f32>) -> Vec<f32> {
    if comm.rank() != root {
        comm.send(root, Tag::Gather, bytemuck::cast_slice(&values));
        return Vec::new();
    }
    if comm.size() == 1 {
        return values;
    }
    let mut all = Vec::with_capacity(values.len() * comm.size());
    for rank in 0..comm.size() {
        if rank == root {
            all.extend_from_slice(&values);
        } else {
            let (_, bytes) = comm.receive(Some(rank), Tag::Gather);
            all.extend(bytes.chunks_exact(4).map(bytemuck::pod_read_unaligned::<f32>));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::threads::on_ranks;

    #[test]
    fn values_come_in_the_order_of_ranks() {
        for root in 0..3 {
            let got = on_ranks(3, |comm| gather(comm, root, vec![comm.rank() as f32; comm.rank()]));
            for (rank, values) in got.iter().enumerate() {
                assert_eq!(values.as_slice(), if rank == root { &[1.0, 2.0, 2.0][..] } else { &[] });
            }
        }
    }
}
