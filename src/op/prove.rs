use super::cuda::put;
use super::{EIGHT, Tensor};
use crate::device::cuda::{CudaMatrix, CudaProduct, Precision, Storage, Stream};
use crate::{Error, Result};

/// Runs a small product and a kernel and reads what comes of them, so that what is missing to use a device, or
/// wrong with it, is found at the start.
pub fn prove(stream: &Stream) -> Result<()> {
    const N: usize = 8;
    let matrix =
        |at| CudaMatrix { at, rows: N, columns: N, stride: N, storage: Storage::F32, transposed: false };
    let values: Vec<f32> = (0..N * N).map(|i| i as f32).collect();
    let one: Vec<f32> = (0..N * N).map(|i| f32::from(u8::from(i % (N + 1) == 0))).collect();
    let (a, b, d) = (stream.holding(&values)?, stream.holding(&one)?, stream.zeros(N * N * 4)?);
    stream.product(&CudaProduct {
        a: matrix(a.at()),
        b: matrix(b.at()),
        d: matrix(d.at()),
        accumulate: false,
        bias: None,
        relu: false,
        precision: Precision::Fp32,
    })?;
    let tensor = Tensor { at: d.at(), rows: N, columns: EIGHT, storage: Storage::F32 };
    put(stream, tensor, tensor, true)?;
    let mut product = vec![0.0; N * N];
    d.download(0, &mut product)?;
    let twice = product.iter().zip(&values).all(|(&got, &value)| got == 2.0 * value);
    if twice { Ok(()) } else { Err(Error::Device(format!("{} computes wrong products", stream.name()))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_on_the_host_pass() {
        prove(&crate::device::cuda::HostDriver::stream()).unwrap();
    }
}
