use super::Address;
use serde::{Deserialize, Serialize};

/// In which numbers a device computes products, and stores tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision throughout.
    #[default]
    Fp32,
    /// Stored in single precision, multiplied with 10 bits of mantissa, summed in single precision.
    Tf32,
    /// Tensors and a copy of the weights in bfloat16, sums, losses and the weights themselves in single precision.
    Bf16,
}

impl Precision {
    /// How it stores tensors.
    pub fn storage(self) -> Storage {
        if self == Precision::Bf16 { Storage::Bf16 } else { Storage::F32 }
    }
}

/// How a tensor is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Storage {
    /// Single precision.
    F32,
    /// bfloat16.
    Bf16,
}

impl Storage {
    /// Bytes of a number.
    pub fn bytes(self) -> usize {
        match self {
            Storage::F32 => 4,
            Storage::Bf16 => 2,
        }
    }
}

/// A row-major matrix in a device's memory, or the transpose of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CudaMatrix {
    /// Where it is.
    pub at: Address,
    /// Rows as stored.
    pub rows: usize,
    /// Columns as stored.
    pub columns: usize,
    /// Numbers from one row to the next.
    pub stride: usize,
    /// How it is stored.
    pub storage: Storage,
    /// Whether its transpose is meant.
    pub transposed: bool,
}

impl CudaMatrix {
    /// The transpose, without a copy.
    pub fn t(self) -> Self {
        Self { transposed: !self.transposed, ..self }
    }

    /// `[rows, columns]` of what is meant.
    pub fn shape(&self) -> [usize; 2] {
        if self.transposed { [self.columns, self.rows] } else { [self.rows, self.columns] }
    }
}

/// `d = relu(a b + bias)`, or `d += a b`, `a` and `b` stored alike, `d` not transposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CudaProduct {
    /// `[m, k]`.
    pub a: CudaMatrix,
    /// `[k, n]`.
    pub b: CudaMatrix,
    /// `[m, n]`.
    pub d: CudaMatrix,
    /// Whether the product is added to what `d` holds.
    pub accumulate: bool,
    /// `[n]`, stored as `d` is, added to every row.
    pub bias: Option<Address>,
    /// Whether negative results become zero.
    pub relu: bool,
    /// How it is computed.
    pub precision: Precision,
}

impl CudaProduct {
    /// m, n and k. Panics if the factors do not fit.
    pub fn shape(&self) -> (usize, usize, usize) {
        let ([m, k], [k2, n]) = (self.a.shape(), self.b.shape());
        assert!(
            k == k2 && [m, n] == self.d.shape() && !self.d.transposed,
            "factors that do not fit: {self:?}"
        );
        (m, n, k)
    }
}
