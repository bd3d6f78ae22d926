use super::{Address, Storage};

/// A source of kernels under `kernels/`.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// Its name without `.cu`.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

macro_rules! sources {
    ($($name:literal),* $(,)?) => {
        &[$(Source { name: $name, text: include_str!(concat!("../../../kernels/", $name, ".cu")) }),*]
    };
}

/// All sources of kernels.
pub const SOURCES: &[Source] = sources![
    "adam",
    "add",
    "assemble",
    "center_loss",
    "column_sums",
    "concat",
    "dropout",
    "features",
    "fuse",
    "gather",
    "huber",
    "lane_sum",
    "layer_norm",
    "linear",
    "loss",
    "mean",
    "narrow",
    "reconstruction_error",
    "segment",
    "sgd",
    "shuffle",
    "sort",
    "squared_error",
    "update",
];

/// What all of them include, as `crossrx.cuh`.
pub const HEADER: &str = include_str!("../../../kernels/crossrx.cuh");

impl Source {
    /// Names of its kernels, in the order of the text.
    pub fn kernels(&self) -> impl Iterator<Item = &'static str> {
        let heads = self.text.lines().filter_map(|line| line.strip_prefix("KERNEL "));
        heads.filter_map(|head| head.split('(').next()).map(str::trim)
    }

    /// The kinds of what kernel `name` takes, as [`Argument::kind`] has them, read from its declaration; none
    /// where there is no such kernel.
    #[cfg(feature = "cuda")]
    pub(super) fn parameters(&self, name: &str) -> Vec<u8> {
        let head = format!("\nKERNEL {name}(");
        let declared = self.text.split_once(&head).and_then(|(_, rest)| rest.split_once(')'));
        let parameters = declared.map_or("", |(parameters, _)| parameters).split(',').map(str::trim);
        let kind = |parameter: &str| match parameter.split_whitespace().next() {
            _ if parameter.contains('*') => b'p',
            Some("u32") => b'u',
            Some("u64") => b'l',
            Some("float") => b'f',
            _ => b'?',
        };
        parameters.filter(|parameter| !parameter.is_empty()).map(kind).collect()
    }
}

/// A kernel by its source and its name there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// The source it stands in.
    pub source: &'static str,
    /// Its own name.
    pub name: &'static str,
}

impl Kernel {
    /// The kernel `name` of `source`.
    pub const fn new(source: &'static str, name: &'static str) -> Self {
        Self { source, name }
    }
}

/// What a kernel is given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Argument {
    /// A pointer.
    Address(Address),
    /// A `u32`.
    U32(u32),
    /// A `u64`.
    U64(u64),
    /// A `float`.
    F32(f32),
}

impl Argument {
    /// Where its value lies, for as long as it is not moved.
    pub(super) fn value(&self) -> *mut std::ffi::c_void {
        match self {
            Argument::Address(Address(at)) => std::ptr::from_ref(at).cast_mut().cast(),
            Argument::U32(value) => std::ptr::from_ref(value).cast_mut().cast(),
            Argument::U64(value) => std::ptr::from_ref(value).cast_mut().cast(),
            Argument::F32(value) => std::ptr::from_ref(value).cast_mut().cast(),
        }
    }

    /// A letter for its type: `p`, `u`, `l` or `f`.
    pub(super) fn kind(&self) -> u8 {
        match self {
            Argument::Address(_) => b'p',
            Argument::U32(_) => b'u',
            Argument::U64(_) => b'l',
            Argument::F32(_) => b'f',
        }
    }
}

impl From<Address> for Argument {
    fn from(at: Address) -> Self {
        Argument::Address(at)
    }
}

impl From<u32> for Argument {
    fn from(value: u32) -> Self {
        Argument::U32(value)
    }
}

impl From<f32> for Argument {
    fn from(value: f32) -> Self {
        Argument::F32(value)
    }
}

impl From<u64> for Argument {
    fn from(value: u64) -> Self {
        Argument::U64(value)
    }
}

/// A number of rows or columns, which kernels take as `u32`.
impl From<usize> for Argument {
    fn from(value: usize) -> Self {
        Argument::U32(value as u32)
    }
}

impl From<bool> for Argument {
    fn from(value: bool) -> Self {
        Argument::U32(value.into())
    }
}

/// A kernel with what it is given.
#[derive(Debug, Clone, Copy)]
pub struct Launch<'a> {
    /// Which.
    pub kernel: Kernel,
    /// For tensors of which numbers.
    pub storage: Storage,
    /// Blocks, `[x, y]`.
    pub grid: [u32; 2],
    /// Threads of a block, `[x, y]`.
    pub block: [u32; 2],
    /// In the order of its declaration.
    pub arguments: &'a [Argument],
}

#[cfg(all(test, feature = "cuda"))]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_parameters_are_read_from_declarations() {
        let text = "KERNEL not_this(\n\nKERNEL put(T* to, const u64 *from, u32 rows,\n    float x, u64 y) {\n}\nKERNEL none() {";
        let source = Source { name: "x", text };
        assert_eq!(source.parameters("put"), b"ppufl");
        assert_eq!(source.parameters("none"), b"");
        assert_eq!(source.parameters("pu"), b"");
        for source in SOURCES {
            assert!(source.kernels().count() > 0, "{}.cu has no kernel", source.name);
            for name in source.kernels() {
                let kinds = source.parameters(name);
                assert!(
                    !kinds.is_empty() && !kinds.contains(&b'?'),
                    "{name} of {}.cu: {kinds:?}",
                    source.name
                );
            }
        }
    }
}
