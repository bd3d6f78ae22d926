use super::MatRef;
use crate::device::Element;
use gemm::Parallelism;

/// `c = a b`, or `c += a b`, by the gemm crate. The shapes are known to fit.
pub fn multiply<T: Element>(c: &mut [T], a: MatRef<'_, T>, b: MatRef<'_, T>, accumulate: bool) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert!(c.len() == m * n && k == b.rows, "shapes of a matrix product");
    let threads = rayon::current_num_threads();
    let parallelism = if threads > 1 { Parallelism::Rayon(threads) } else { Parallelism::None };
    let stride = |s: usize| s as isize;
    // SAFETY: `MatRef::new` and the assertion above hold every index that the
    // strides can reach inside its slice; `c` is borrowed mutably, so it
    // overlaps neither input; `gemm` supports f32 and f64, the only `Element`s.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            stride(n),
            accumulate,
            a.data.as_ptr(),
            stride(a.column_stride),
            stride(a.row_stride),
            b.data.as_ptr(),
            stride(b.column_stride),
            stride(b.row_stride),
            T::one(),
            T::one(),
            false,
            false,
            false,
            parallelism,
        );
    }
}
