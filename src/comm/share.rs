use super::Communicator;

/// Gives every rank the numbers that rank 0 has.
pub fn share(comm: &dyn Communicator, numbers: &mut Vec<usize>) {
    let mut bytes = bytemuck::cast_slice(numbers.as_slice()).to_vec();
    comm.broadcast(0, &mut bytes);
    *numbers = bytes.chunks_exact(size_of::<usize>()).map(bytemuck::pod_read_unaligned).collect();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::threads::on_ranks;

    #[test]
    fn all_get_those_of_rank_0() {
        let got = on_ranks(3, |comm| {
            let mut numbers = if comm.rank() == 0 { vec![3, usize::MAX] } else { vec![7; comm.rank()] };
            share(comm, &mut numbers);
            numbers
        });
        assert_eq!(got, vec![vec![3, usize::MAX]; 3]);
    }
}
