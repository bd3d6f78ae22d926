use super::library::{Library, file_of, functions, text};
use super::{Architecture, Version};
use crate::device::cuda::kernel::HEADER;
use crate::device::cuda::{Source, Storage};
use crate::{Error, Result};
use std::ffi::{CString, c_char, c_int, c_void};
#[cfg(test)]
use std::path::Path;

type Program = *mut c_void;

functions! { Functions {
    nvrtcVersion(*mut c_int, *mut c_int) -> c_int;
    nvrtcGetErrorString(c_int) -> *const c_char;
    nvrtcGetNumSupportedArchs(*mut c_int) -> c_int;
    nvrtcGetSupportedArchs(*mut c_int) -> c_int;
    nvrtcCreateProgram(
        *mut Program, *const c_char, *const c_char, c_int, *const *const c_char, *const *const c_char
    ) -> c_int;
    nvrtcCompileProgram(Program, c_int, *const *const c_char) -> c_int;
    nvrtcGetProgramLogSize(Program, *mut usize) -> c_int;
    nvrtcGetProgramLog(Program, *mut c_char) -> c_int;
    nvrtcGetCUBINSize(Program, *mut usize) -> c_int;
    nvrtcGetCUBIN(Program, *mut c_char) -> c_int;
    nvrtcDestroyProgram(*mut Program) -> c_int;
} }

/// NVIDIA's run-time compiler. It makes machine code (a cubin) and not PTX, which a driver older than the
/// compiler refuses.
pub struct Nvrtc {
    functions: Functions,
    version: [u32; 2],
    /// As compute capabilities times ten.
    architectures: Vec<u32>,
}

/// The version found.
pub fn version(driver_major: u32) -> Result<Version> {
    let [major, minor] = Nvrtc::open(driver_major, None)?.version;
    Ok((format!("{major}.{minor}"), file_of("nvrtc")))
}

/// What became of a source.
pub struct Compiled {
    /// Machine code, an ELF file.
    pub cubin: Vec<u8>,
    /// What the compiler had to say.
    pub log: String,
}

impl Nvrtc {
    /// The one of this machine that knows `architecture`, of the driver's own major version first: later ones make
    /// code that it may refuse.
    pub fn open(driver_major: u32, architecture: Option<Architecture>) -> Result<Self> {
        let majors = if driver_major >= 13 { [13, 12] } else { [12, 13] };
        let mut unfit = None;
        for major in majors {
            let Ok(library) = Library::open("nvrtc", &[major]) else { continue };
            let nvrtc = Self::of(&library)?;
            match architecture.map(|architecture| nvrtc.known(architecture)) {
                None | Some(Ok(_)) => return Ok(nvrtc),
                Some(Err(why)) => unfit = unfit.or(Some(why)),
            }
        }
        Err(unfit.unwrap_or_else(|| {
            Error::Device(
                "NVRTC, which compiles the kernels, is not found (libnvrtc.so.12 or libnvrtc.so.13); load a CUDA \
                 toolkit (module load cuda) or install NVRTC (pip install nvidia-cuda-nvrtc-cu12), with its folder \
                 in LD_LIBRARY_PATH"
                    .into(),
            )
        }))
    }

    /// The one at `path`.
    #[cfg(test)]
    pub fn at(path: &Path) -> Result<Self> {
        Self::of(&Library::at(path).map_err(Error::Device)?)
    }

    fn of(library: &Library) -> Result<Self> {
        let functions = Functions::load(library)?;
        let mut nvrtc = Self { functions, version: [0; 2], architectures: Vec::new() };
        let (mut major, mut minor, mut count) = (0, 0, 0);
        // SAFETY: these write one number each.
        let codes = unsafe {
            [
                (nvrtc.functions.nvrtcVersion)(&mut major, &mut minor),
                (nvrtc.functions.nvrtcGetNumSupportedArchs)(&mut count),
            ]
        };
        codes.into_iter().try_for_each(|code| nvrtc.check(code, "its version"))?;
        let mut architectures = vec![0; usize::try_from(count).unwrap_or(0)];
        // SAFETY: it writes as many numbers as it has just said.
        let code = unsafe { (nvrtc.functions.nvrtcGetSupportedArchs)(architectures.as_mut_ptr()) };
        nvrtc.check(code, "its architectures")?;
        nvrtc.version = [major, minor].map(c_int::unsigned_abs);
        nvrtc.architectures = architectures.into_iter().map(c_int::unsigned_abs).collect();
        Ok(nvrtc)
    }

    /// Its version, `[major, minor]`.
    pub fn version(&self) -> [u32; 2] {
        self.version
    }

    /// The architecture to compile for so that a device of `architecture` runs it: its own, or an earlier one of
    /// the same major version, whose machine code it runs as well.
    fn known(&self, architecture: Architecture) -> Result<u32> {
        let wanted = architecture.number();
        let of_family = self.architectures.iter().filter(|&&sm| sm / 10 == wanted / 10 && sm <= wanted);
        of_family.max().copied().ok_or_else(|| {
            let [major, minor] = self.version;
            let newest = self.architectures.iter().max().copied().unwrap_or(0);
            let age = if wanted > newest { "old" } else { "new" };
            Error::Device(format!(
                "NVRTC {major}.{minor} is too {age} for {architecture}: load another CUDA toolkit (it knows {})",
                self.architectures.iter().map(|sm| format!("sm_{sm}")).collect::<Vec<_>>().join(" ")
            ))
        })
    }

    /// Compiles `source` for tensors of `storage`. `report` makes the log tell of registers, shared memory and
    /// spills.
    pub fn compile(
        &self,
        source: &Source,
        storage: Storage,
        architecture: Architecture,
        report: bool,
    ) -> Result<Compiled> {
        let name = format!("{}.cu", source.name);
        let fault = |what: &str| Error::Device(format!("{name}: {what}"));
        let c_text = |text: &str| CString::new(text).map_err(|_| fault("has a zero byte"));
        let (text, header, title) = (c_text(source.text)?, c_text(HEADER)?, c_text(&name)?);
        let (header, header_name) = ([header.as_ptr()], [c"crossrx.cuh".as_ptr()]);
        let mut program = Held(self, std::ptr::null_mut());
        // SAFETY: one header, its text and its name; all texts outlive the call, which copies them.
        let code = unsafe {
            (self.functions.nvrtcCreateProgram)(
                &mut program.1,
                text.as_ptr(),
                title.as_ptr(),
                1,
                header.as_ptr(),
                header_name.as_ptr(),
            )
        };
        self.check(code, &name)?;
        let mut options = vec![c_text(&format!("--gpu-architecture=sm_{}", self.known(architecture)?))?];
        options.extend(OPTIONS.iter().copied().map(c_text).collect::<Result<Vec<_>>>()?);
        options.extend(define(storage).map(c_text).transpose()?);
        if report {
            options.push(c_text("--ptxas-options=-v")?);
        }
        let pointers: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
        // SAFETY: a program that was created, and as many options as are said.
        let code = unsafe {
            (self.functions.nvrtcCompileProgram)(program.1, pointers.len() as c_int, pointers.as_ptr())
        };
        let log = program.bytes(self.functions.nvrtcGetProgramLogSize, self.functions.nvrtcGetProgramLog)?;
        let log = String::from_utf8_lossy(&log).trim_end_matches(['\0', '\n']).to_string();
        self.check(code, &name).map_err(|e| Error::Device(format!("{e}; the compiler says: {log}")))?;
        let cubin = program.bytes(self.functions.nvrtcGetCUBINSize, self.functions.nvrtcGetCUBIN)?;
        if cubin.is_empty() {
            return Err(fault("NVRTC made no machine code of it"));
        }
        Ok(Compiled { cubin, log })
    }

    fn check(&self, code: c_int, what: &str) -> Result<()> {
        if code == 0 {
            return Ok(());
        }
        // SAFETY: a static text for every number.
        let why = unsafe { text((self.functions.nvrtcGetErrorString)(code)) };
        Err(Error::Device(format!("NVRTC: {what}: {why}")))
    }
}

/// Options of every compilation; part of what names a cubin in the cache.
pub const OPTIONS: &[&str] = &["--std=c++17", "--generate-line-info"];

/// What tells a source the numbers of its tensors.
pub fn define(storage: Storage) -> Option<&'static str> {
    (storage == Storage::Bf16).then_some("--define-macro=BF16")
}

/// A program of NVRTC's, destroyed when dropped.
struct Held<'a>(&'a Nvrtc, Program);

impl Held<'_> {
    /// What `get` has for the program, of the length that `length` says.
    fn bytes(
        &self,
        length: unsafe extern "C" fn(Program, *mut usize) -> c_int,
        get: unsafe extern "C" fn(Program, *mut c_char) -> c_int,
    ) -> Result<Vec<u8>> {
        let mut count = 0;
        // SAFETY: a program that was created, and a number to write to.
        self.0.check(unsafe { length(self.1, &mut count) }, "what it made")?;
        let mut bytes = vec![0u8; count];
        if count > 0 {
            // SAFETY: as many bytes as it has just said that it writes.
            self.0.check(unsafe { get(self.1, bytes.as_mut_ptr().cast()) }, "what it made")?;
        }
        Ok(bytes)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if !self.1.is_null() {
            // SAFETY: created and not destroyed before. A failure would leave memory taken, and nothing else.
            unsafe { (self.0.functions.nvrtcDestroyProgram)(&mut self.1) };
        }
    }
}
