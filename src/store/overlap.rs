//! Making and writing at the same time.

use crate::Result;

/// Makes the blocks 0 to `count` and hands them to `write` in their order, each
/// while the next is made; two of them are in memory. The first error of `write`
/// ends it.
pub(crate) fn overlap<B: Send>(
    count: usize,
    make: impl Fn(usize) -> B + Sync,
    mut write: impl FnMut(B) -> Result<()> + Send,
) -> Result<()> {
    let mut made = (count > 0).then(|| make(0));
    let mut next = 1;
    while let Some(ready) = made {
        let (written, following) = rayon::join(|| write(ready), || (next < count).then(|| make(next)));
        written?;
        made = following;
        next += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn blocks_come_in_order_until_one_fails() {
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut seen = Vec::new();
            let mut until = |last: usize| {
                seen.clear();
                let outcome = overlap(
                    9,
                    |block| block * block,
                    |made| {
                        seen.push(made);
                        if seen.len() > last { Err(Error::Request("full".into())) } else { Ok(()) }
                    },
                );
                (seen.clone(), outcome.is_ok())
            };
            let squares: Vec<usize> = (0..9).map(|n| n * n).collect();
            assert_eq!(pool.install(|| until(9)), (squares.clone(), true));
            assert_eq!(pool.install(|| until(3)), (squares[..4].to_vec(), false));
        }
        overlap(0, |_| (), |()| panic!("there is nothing to write")).unwrap();
    }
}
