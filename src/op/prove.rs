use super::cuda::put;
use super::{EIGHT, Tensor};
use crate::device::cuda::{CudaMatrix, CudaProduct, Precision, Storage, Stream};
use crate::{Error, Result};

/// Runs a small product and a kernel and reads what comes of them, so that what is missing to use a device, or
/// wrong with it, or cannot compute in `precision`, is found at the start.
pub fn prove(stream: &Stream, precision: Precision) -> Result<()> {
    const N: usize = 8;
    let matrix = |at, storage| CudaMatrix { at, rows: N, columns: N, stride: N, storage, transposed: false };
    let values: Vec<f32> = (0..N * N).map(|i| i as f32).collect();
    let one: Vec<f32> = (0..N * N).map(|i| f32::from(u8::from(i % (N + 1) == 0))).collect();
    let storage = precision.storage();
    let hold = |values: &[f32]| match storage {
        Storage::F32 => stream.holding(values),
        // Numbers this small are the same in either.
        Storage::Bf16 => {
            stream.holding(&values.iter().map(|v| (v.to_bits() >> 16) as u16).collect::<Vec<_>>())
        }
    };
    let (a, b, d) = (hold(&values)?, hold(&one)?, stream.zeros(N * N * 4)?);
    stream.product(&CudaProduct {
        a: matrix(a.at(), storage),
        b: matrix(b.at(), storage),
        d: matrix(d.at(), Storage::F32),
        accumulate: false,
        bias: None,
        relu: false,
        precision,
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
        let stream = crate::device::cuda::HostDriver::stream();
        for precision in [Precision::Fp32, Precision::Tf32, Precision::Bf16] {
            prove(&stream, precision).unwrap();
        }
    }
}
