use super::column_major::{ColumnMajor, Factor, alignment};
use super::library::{Library, file_of, functions, text};
use super::{Architecture, Block, Version, told};
use crate::device::cuda::{CudaProduct, Precision, Storage};
use crate::{Error, Result};
use cudarc::cublaslt::sys::{
    cublasComputeType_t as Compute, cublasLtEpilogue_t as Epilogue, cublasLtMatmulAlgo_t as Algorithm,
    cublasLtMatmulDescAttributes_t as Attribute, cublasLtMatmulPreferenceAttributes_t as Preference,
    cublasLtReductionScheme_t as Reduction, cudaDataType_t as Type,
};
use cudarc::driver::sys::CUstream;
use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{c_char, c_int, c_void};
use std::rc::Rc;

type Handle = *mut c_void;

/// What the search for an algorithm finds; as `cublasLtMatmulHeuristicResult_t`, with its status as a number.
#[repr(C)]
#[derive(Clone, Copy)]
struct Found {
    algorithm: Algorithm,
    workspace: usize,
    status: c_int,
    waves: f32,
    reserved: [c_int; 4],
}

functions! { Functions {
    cublasLtCreate(*mut Handle) -> c_int;
    cublasLtDestroy(Handle) -> c_int;
    cublasLtGetVersion() -> usize;
    cublasLtGetStatusString(c_int) -> *const c_char;
    cublasLtMatmulDescCreate(*mut Handle, Compute, Type) -> c_int;
    cublasLtMatmulDescSetAttribute(Handle, Attribute, *const c_void, usize) -> c_int;
    cublasLtMatmulDescDestroy(Handle) -> c_int;
    cublasLtMatrixLayoutCreate(*mut Handle, Type, u64, u64, i64) -> c_int;
    cublasLtMatrixLayoutDestroy(Handle) -> c_int;
    cublasLtMatmulPreferenceCreate(*mut Handle) -> c_int;
    cublasLtMatmulPreferenceSetAttribute(Handle, Preference, *const c_void, usize) -> c_int;
    cublasLtMatmulPreferenceDestroy(Handle) -> c_int;
    cublasLtMatmulAlgoGetHeuristic(
        Handle, Handle, Handle, Handle, Handle, Handle, Handle, c_int, *mut Found, *mut c_int
    ) -> c_int;
    cublasLtMatmul(
        Handle, Handle, *const c_void, *const c_void, Handle, *const c_void, Handle, *const c_void, *const c_void,
        Handle, *mut c_void, Handle, *const Algorithm, *mut c_void, usize, CUstream
    ) -> c_int;
} }

/// Bytes that a product may use for sums of its own; what NVIDIA advises for Hopper.
const WORKSPACE: usize = 32 << 20;

/// Opens the library, of the driver's own major version first: a later one refuses to run under it.
fn open(driver_major: u32, architecture: Option<Architecture>) -> Result<Rc<Functions>> {
    // CUDA 13 knows no device before sm_75.
    let old = architecture.is_some_and(|architecture| architecture < Architecture([7, 5]));
    let majors = if driver_major >= 13 && !old { [13, 12] } else { [12, 13] };
    let library = Library::open("cublasLt", &majors).map_err(|why| {
        Error::Device(format!(
            "cuBLASLt, which multiplies matrices: {why}; load a CUDA toolkit (module load cuda) or put the folder \
             of its libraries into LD_LIBRARY_PATH"
        ))
    })?;
    Functions::load(&library).map(Rc::new)
}

/// The version found.
pub fn version(driver_major: u32) -> Result<Version> {
    // SAFETY: takes nothing, returns a number.
    let number = unsafe { (open(driver_major, None)?.cublasLtGetVersion)() };
    // 120904 is 12.9.4; from 13 on, 130100 is 13.1.0.
    let version = format!("{}.{}.{}", number / 10000, number / 100 % 100, number % 100);
    Ok((version, file_of("cublasLt")))
}

/// Matrix products of one stream, by cuBLASLt.
///
/// The same product has the same bits each time and on every device of one kind: the algorithm is the first that
/// the library's own heuristics give for shapes, types and alignments, never one that was timed, and it sums in
/// an order of its own, never by atomics.
pub struct Products {
    lt: Rc<Functions>,
    handle: Handle,
    architecture: Architecture,
    workspace: Block,
    ways: RefCell<HashMap<Shape, Way>>,
}

/// What decides how a product is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    sizes: [usize; 3],
    leading: [usize; 3],
    transposed: [bool; 2],
    storage: [Storage; 3],
    alignments: [u32; 3],
    /// Of the bias, if there is one.
    bias: Option<u32>,
    relu: bool,
    accumulate: bool,
    tf32: bool,
}

impl Shape {
    fn of(product: &CudaProduct, turned: &ColumnMajor) -> Self {
        let ColumnMajor { m, n, k, first, second, result } = *turned;
        let all = [first, second, result];
        Self {
            sizes: [m, n, k],
            leading: all.map(|factor| factor.leading),
            transposed: [first.transposed, second.transposed],
            storage: all.map(|factor| factor.storage),
            alignments: all.map(|factor| factor.alignment()),
            bias: product.bias.map(alignment),
            relu: product.relu,
            accumulate: product.accumulate,
            // Tensor cores take factors of bfloat16 as they are.
            tf32: product.precision == Precision::Tf32 && first.storage == Storage::F32,
        }
    }

    fn epilogue(&self) -> Epilogue {
        match (self.bias.is_some(), self.relu) {
            (false, false) => Epilogue::CUBLASLT_EPILOGUE_DEFAULT,
            (false, true) => Epilogue::CUBLASLT_EPILOGUE_RELU,
            (true, false) => Epilogue::CUBLASLT_EPILOGUE_BIAS,
            (true, true) => Epilogue::CUBLASLT_EPILOGUE_RELU_BIAS,
        }
    }
}

/// How a product is computed, found once.
struct Way {
    description: Described,
    layouts: [Described; 3],
    algorithm: Algorithm,
}

/// A description of cuBLASLt's, destroyed when dropped.
struct Described {
    lt: Rc<Functions>,
    handle: Handle,
    destroy: unsafe extern "C" fn(Handle) -> c_int,
}

impl Drop for Described {
    fn drop(&mut self) {
        // SAFETY: created, and destroyed here only; `lt` keeps the function's library in use.
        unsafe { (self.destroy)(self.handle) };
    }
}

impl Products {
    /// On the device whose context is current.
    pub fn new(architecture: Architecture, driver_major: u32) -> Result<Self> {
        let lt = open(driver_major, Some(architecture))?;
        let workspace = Block::new(WORKSPACE).map_err(told("memory for matrix products"))?;
        let mut handle = std::ptr::null_mut();
        // SAFETY: a place to write the handle to.
        lt.check(unsafe { (lt.cublasLtCreate)(&mut handle) }, || "starting it".into())?;
        Ok(Self { lt, handle, architecture, workspace, ways: RefCell::default() })
    }

    /// Puts the product on `stream`.
    pub fn multiply(&self, product: &CudaProduct, stream: CUstream) -> Result<()> {
        let turned = ColumnMajor::of(product);
        let shape = Shape::of(product, &turned);
        let mut ways = self.ways.borrow_mut();
        let way = match ways.entry(shape) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(self.way(&shape, &turned, product)?),
        };
        if let Some(bias) = product.bias {
            let pointer = Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER;
            way.description.set(self.lt.cublasLtMatmulDescSetAttribute, pointer, &bias.0)?;
        }
        // Scalars on the host are read by the call, also when it is recorded.
        let (alpha, beta) = (1.0f32, if product.accumulate { 1.0f32 } else { 0.0 });
        let pointer = |factor: &Factor| factor.at.0 as *mut c_void;
        let [first, second, result] = &way.layouts;
        // SAFETY: descriptions that exist, of matrices whose addresses the caller vouches for, as for every
        // kernel; C is D, which cuBLASLt allows where both have one layout.
        let code = unsafe {
            (self.lt.cublasLtMatmul)(
                self.handle,
                way.description.handle,
                std::ptr::from_ref(&alpha).cast(),
                pointer(&turned.first),
                first.handle,
                pointer(&turned.second),
                second.handle,
                std::ptr::from_ref(&beta).cast(),
                pointer(&turned.result),
                result.handle,
                pointer(&turned.result),
                result.handle,
                &way.algorithm,
                self.workspace.0 as *mut c_void,
                WORKSPACE,
                stream,
            )
        };
        self.lt.check(code, || self.name(&shape))
    }

    fn way(&self, shape: &Shape, turned: &ColumnMajor, product: &CudaProduct) -> Result<Way> {
        let lt = &self.lt;
        let compute =
            if shape.tf32 { Compute::CUBLAS_COMPUTE_32F_FAST_TF32 } else { Compute::CUBLAS_COMPUTE_32F };
        let description = Described::new(lt, lt.cublasLtMatmulDescDestroy, |to| {
            // SAFETY: a place to write the handle to.
            unsafe { (lt.cublasLtMatmulDescCreate)(to, compute, Type::CUDA_R_32F) }
        })?;
        let set = lt.cublasLtMatmulDescSetAttribute;
        // CUBLAS_OP_N and CUBLAS_OP_T.
        let [first, second] = shape.transposed.map(i32::from);
        description.set(set, Attribute::CUBLASLT_MATMUL_DESC_TRANSA, &first)?;
        description.set(set, Attribute::CUBLASLT_MATMUL_DESC_TRANSB, &second)?;
        description.set(set, Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, &shape.epilogue())?;
        // Its numbers are those of D, which is what the library takes them for where nothing else is said.
        if let Some(bias) = product.bias {
            description.set(set, Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias.0)?;
        }
        let layout = |factor: &Factor| {
            let numbers = match factor.storage {
                Storage::F32 => Type::CUDA_R_32F,
                Storage::Bf16 => Type::CUDA_R_16BF,
            };
            let (rows, columns, leading) = (factor.rows as u64, factor.columns as u64, factor.leading as i64);
            Described::new(lt, lt.cublasLtMatrixLayoutDestroy, |to| {
                // SAFETY: a place to write the handle to.
                unsafe { (lt.cublasLtMatrixLayoutCreate)(to, numbers, rows, columns, leading) }
            })
        };
        let layouts = [layout(&turned.first)?, layout(&turned.second)?, layout(&turned.result)?];
        let algorithm = self.algorithm(shape, &description, &layouts)?;
        Ok(Way { description, layouts, algorithm })
    }

    /// The first algorithm that the heuristics give.
    fn algorithm(
        &self,
        shape: &Shape,
        description: &Described,
        layouts: &[Described; 3],
    ) -> Result<Algorithm> {
        let lt = &self.lt;
        let preference = Described::new(lt, lt.cublasLtMatmulPreferenceDestroy, |to| {
            // SAFETY: a place to write the handle to.
            unsafe { (lt.cublasLtMatmulPreferenceCreate)(to) }
        })?;
        let set = lt.cublasLtMatmulPreferenceSetAttribute;
        let [first, second, result] = shape.alignments;
        preference.set(set, Preference::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &(WORKSPACE as u64))?;
        // Parts of a sum over k meet in the workspace, in single precision and one order. The scheme in place
        // (whoever comes first) is out, and the one in the result's type, which rounds parts to bfloat16.
        let scheme = Reduction::CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE as u32;
        preference.set(set, Preference::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &scheme)?;
        preference.set(set, Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &first)?;
        preference.set(set, Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &second)?;
        preference.set(set, Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &result)?;
        preference.set(set, Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &result)?;
        let mut found = Found {
            algorithm: Algorithm { data: [0; 8] },
            workspace: 0,
            status: -1,
            waves: 0.0,
            reserved: [0; 4],
        };
        let mut count = 0;
        // SAFETY: descriptions that exist, and room for the one result that is asked for.
        let code = unsafe {
            (lt.cublasLtMatmulAlgoGetHeuristic)(
                self.handle,
                description.handle,
                layouts[0].handle,
                layouts[1].handle,
                layouts[2].handle,
                layouts[2].handle,
                preference.handle,
                1,
                &mut found,
                &mut count,
            )
        };
        lt.check(code, || self.name(shape))?;
        if count < 1 {
            return Err(Error::Device(format!("cuBLASLt: {}: knows no way to compute it", self.name(shape))));
        }
        lt.check(found.status, || self.name(shape))?;
        // A sum over many rows into a small matrix fills the device only in parts, which take memory.
        log::debug!(
            "cuBLASLt: {}: {:.2} waves, {} KiB of workspace",
            self.name(shape),
            found.waves,
            found.workspace >> 10
        );
        Ok(found.algorithm)
    }

    /// What a product is called in messages.
    fn name(&self, shape: &Shape) -> String {
        let [n, m, k] = shape.sizes;
        let [_, a, d] = shape.storage;
        let old = self.architecture < Architecture([8, 0]) && (shape.tf32 || a == Storage::Bf16);
        let hint = if old { "; tf32 and bf16 need sm_80 or later" } else { "" };
        format!(
            "product of [{m}, {k}] by [{k}, {n}] of {a:?}{} into {d:?} ({:?}) on {}{hint}",
            if shape.tf32 { " as TF32" } else { "" },
            shape.epilogue(),
            self.architecture
        )
    }
}

impl Drop for Products {
    fn drop(&mut self) {
        // SAFETY: the driver has waited for its stream; the handle is destroyed here only.
        unsafe { (self.lt.cublasLtDestroy)(self.handle) };
    }
}

impl Described {
    fn new(
        lt: &Rc<Functions>,
        destroy: unsafe extern "C" fn(Handle) -> c_int,
        create: impl FnOnce(*mut Handle) -> c_int,
    ) -> Result<Self> {
        let mut handle = std::ptr::null_mut();
        lt.check(create(&mut handle), || "describing a product".into())?;
        Ok(Self { lt: lt.clone(), handle, destroy })
    }

    /// Sets `attribute` by `set`, the function for descriptions of this kind.
    fn set<A, V: Copy>(
        &self,
        set: unsafe extern "C" fn(Handle, A, *const c_void, usize) -> c_int,
        attribute: A,
        value: &V,
    ) -> Result<()> {
        // SAFETY: a description that exists, and a value of the size that is said, which the library checks.
        let code = unsafe { set(self.handle, attribute, std::ptr::from_ref(value).cast(), size_of::<V>()) };
        self.lt.check(code, || "describing a product".into())
    }
}

impl Functions {
    fn check(&self, code: c_int, what: impl FnOnce() -> String) -> Result<()> {
        if code == 0 {
            return Ok(());
        }
        // SAFETY: a static text for every number.
        let why = unsafe { text((self.cublasLtGetStatusString)(code)) };
        Err(Error::Device(format!("cuBLASLt: {}: {why}", what())))
    }
}
