use crate::Result;
use crate::device::cuda::{CudaMatrix, CudaProduct, Memory, Precision, Recorded, Storage, Stream};
use crate::device::{Device, MatRef, matmul_by_library};
use crate::graph::Product;
use crate::op::stride;
use std::time::{Duration, Instant};

/// The matrix products of a step, with operands of their own, to be done by the
/// device's library: the gemm crate on processors, cuBLASLt on a GPU.
pub struct Floor {
    products: Vec<Product>,
    on: On,
}

enum On {
    Cpu { a: Vec<f32>, b: Vec<f32>, c: Vec<f32> },
    Cuda { stream: Stream, recorded: Recorded, _operands: [Memory; 3] },
}

impl Floor {
    /// Those that a step needs.
    pub fn of(products: Vec<Product>, device: &Device, precision: Precision) -> Result<Self> {
        let most = |of: fn(&Product) -> usize| products.iter().map(of).max().unwrap_or(0);
        let largest = most(|p| p.rows * stride(p.from))
            .max(most(|p| p.rows * stride(p.to)))
            .max(most(|p| p.to * stride(p.from)));
        let on = match device {
            Device::Cpu => {
                let value = |i: usize| (i % 977) as f32 * 1e-3 - 0.5;
                let filled = || (0..largest).map(value).collect();
                On::Cpu { a: filled(), b: filled(), c: filled() }
            }
            Device::Cuda(stream) => Self::on_cuda(&products, largest, stream, precision)?,
        };
        Ok(Self { products, on })
    }

    fn on_cuda(products: &[Product], largest: usize, stream: &Stream, precision: Precision) -> Result<On> {
        let storage = precision.storage();
        // Numbers of ordinary size in either storage: the same 16 bits twice are a float near them.
        let values: Vec<u16> =
            (0..2 * largest).map(|i| 0x3c00 + (i % 977) as u16 / 8 + (i % 2) as u16 * 0x8000).collect();
        let [a, b, c] = [(); 3].map(|()| stream.holding(&values));
        let operands = [a?, b?, c?];
        let matrix = |at: &Memory, rows, columns, storage| {
            let at = at.at();
            CudaMatrix { at, rows, columns, stride: stride(columns), storage, transposed: false }
        };
        let multiply = |a, b, d| {
            let product = CudaProduct { a, b, d, accumulate: false, bias: None, relu: false, precision };
            stream.product(&product)
        };
        let all = || {
            let [a, b, c] = &operands;
            for &Product { rows, from, to, input_gradient } in products {
                let (x, w) = (matrix(a, rows, from, storage), matrix(b, to, from, storage));
                multiply(x, w.t(), matrix(c, rows, to, storage))?;
                let g = matrix(b, rows, to, storage);
                multiply(g.t(), x, matrix(c, to, from, Storage::F32))?;
                if input_gradient {
                    multiply(g, matrix(a, to, from, storage), matrix(c, rows, from, storage))?;
                }
            }
            Ok(())
        };
        all()?;
        let recorded = stream.record(all)?;
        Ok(On::Cuda { stream: stream.clone(), recorded, _operands: operands })
    }

    /// Multiply-adds of the products.
    pub fn multiply_adds(&self) -> usize {
        let of = |p: &Product| p.rows * p.from * p.to * (2 + usize::from(p.input_gradient));
        self.products.iter().map(of).sum()
    }

    /// Does the products so many times: forward, weight gradient, and input gradient where one is needed.
    pub fn run(&mut self, times: usize) -> Result<Duration> {
        let started = Instant::now();
        for _ in 0..times {
            match &mut self.on {
                On::Cpu { a, b, c } => multiply_on_cpu(&self.products, a, b, c),
                On::Cuda { recorded, .. } => recorded.replay()?,
            }
        }
        if let On::Cuda { stream, .. } = &self.on {
            stream.wait()?;
        }
        Ok(started.elapsed())
    }
}

fn multiply_on_cpu(products: &[Product], a: &[f32], b: &[f32], c: &mut [f32]) {
    for &Product { rows, from, to, input_gradient } in products {
        let (x, w) = (MatRef::new(a, rows, from), MatRef::new(b, to, from));
        matmul_by_library(c, x, w.t(), false);
        let g = MatRef::new(b, rows, to);
        matmul_by_library(c, g.t(), x, false);
        if input_gradient {
            matmul_by_library(c, g, MatRef::new(a, to, from), false);
        }
    }
}
