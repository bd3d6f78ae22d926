use crate::device::{MatRef, matmul_by_library};
use crate::graph::Product;
use std::time::{Duration, Instant};

/// The matrix products of a step, with operands of their own, to be done by the gemm crate.
pub struct Floor {
    products: Vec<Product>,
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
}

impl Floor {
    /// Those that a step needs.
    pub fn of(products: Vec<Product>) -> Self {
        let most = |of: fn(&Product) -> usize| products.iter().map(of).max().unwrap_or(0);
        let value = |i: usize| (i % 977) as f32 * 1e-3 - 0.5;
        let filled = |n: usize| (0..n).map(value).collect();
        let x = most(|p| p.rows * p.from).max(most(|p| p.rows * p.to)).max(most(|p| p.from * p.to));
        Self { products, a: filled(x), b: filled(x), c: filled(x) }
    }

    /// Multiply-adds of the products.
    pub fn multiply_adds(&self) -> usize {
        let of = |p: &Product| p.rows * p.from * p.to * (2 + usize::from(p.input_gradient));
        self.products.iter().map(of).sum()
    }

    /// Does the products once: forward, weight gradient, and input gradient where one is needed.
    pub fn run(&mut self) -> Duration {
        let started = Instant::now();
        for &Product { rows, from, to, input_gradient } in &self.products {
            let (x, w) = (MatRef::new(&self.a, rows, from), MatRef::new(&self.b, to, from));
            matmul_by_library(&mut self.c, x, w.t(), false);
            let g = MatRef::new(&self.b, rows, to);
            matmul_by_library(&mut self.c, g.t(), x, false);
            if input_gradient {
                matmul_by_library(&mut self.c, g, MatRef::new(&self.a, to, from), false);
            }
        }
        started.elapsed()
    }
}
