use crate::{Error, Result};
use std::ffi::c_char;
use std::path::{Path, PathBuf};

/// A shared library of CUDA's, found at run time and loaded until the process ends: some of them keep threads
/// or handlers that outlive their last use.
pub struct Library(&'static libloading::Library);

impl Library {
    /// Opens `lib{name}.so.{major}` for the first of `majors` that is found: in `lib/` beside or above this program, where
    /// the loader looks (`LD_LIBRARY_PATH`, the system's folders), then in the usual folders of a CUDA toolkit;
    /// and failing all, `lib{name}.so` without a version. Fails with what was looked for.
    pub fn open(name: &str, majors: &[u32]) -> Result<Self, String> {
        let mut files: Vec<String> = majors.iter().map(|major| format!("lib{name}.so.{major}")).collect();
        files.push(format!("lib{name}.so"));
        let mut refused = None;
        for file in &files {
            for folder in folders() {
                let path = folder.join(file);
                // A bare name is for the loader to find, or not; a file that is there should load.
                let bare = folder.as_os_str().is_empty();
                if !bare && !path.exists() {
                    continue;
                }
                match Self::at(&path) {
                    Ok(library) => return Ok(library),
                    Err(why) if bare && why.contains("No such file") => {}
                    Err(why) => refused = Some(why),
                }
            }
        }
        Err(refused.unwrap_or_else(|| format!("{} not found", files[..files.len() - 1].join(" or "))))
    }

    /// Opens the library at `path`.
    pub fn at(path: &Path) -> Result<Self, String> {
        // SAFETY: NVIDIA's libraries are made to be loaded at any time; their initialisers ask for nothing.
        let library = unsafe { libloading::Library::new(path) }.map_err(|e| text_of(&e))?;
        Ok(Self(Box::leak(Box::new(library))))
    }

    /// The function `name`, which must have the type `F`.
    ///
    /// # Safety
    /// `F` is the type of a function pointer that the library's header gives `name`.
    pub unsafe fn function<F: Copy>(&self, name: &str) -> Result<F> {
        let symbol = format!("{name}\0");
        // SAFETY: the caller vouches for the type; the library is never unloaded.
        let found = unsafe { self.0.get::<F>(symbol.as_bytes()) };
        found.map(|f| *f).map_err(|e| Error::Device(format!("library too old: {}", text_of(&e))))
    }
}

/// `dlopen`'s own text, on one line.
fn text_of(error: &libloading::Error) -> String {
    error.to_string().replace('\n', " ")
}

/// Where libraries are looked for, best first; the empty path stands for the loader's own ways.
fn folders() -> Vec<PathBuf> {
    let program = std::env::current_exe().ok();
    let beside =
        program.as_deref().and_then(Path::parent).map(|folder| [folder.join("lib"), folder.join("../lib")]);
    let toolkits = ["CUDA_HOME", "CUDA_PATH", "CUDA_ROOT"].into_iter().filter_map(std::env::var_os);
    let toolkits = toolkits.map(PathBuf::from).chain(["/usr/local/cuda".into()]);
    beside
        .into_iter()
        .flatten()
        .chain([PathBuf::new()])
        .chain(toolkits.map(|root| root.join("lib64")))
        .collect()
}

/// The file that a loaded library came from, where the system tells.
pub fn file_of(name: &str) -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let start = format!("lib{name}.so");
    let paths = maps.lines().filter_map(|line| line.find('/').map(|at| Path::new(&line[at..])));
    let mut ours =
        paths.filter(|path| path.file_name().is_some_and(|f| f.to_string_lossy().starts_with(&start)));
    ours.next().map(Path::to_path_buf)
}

/// A text that a library returned, which lives as long as it does.
///
/// # Safety
/// `at` is null or a text that ends with a zero byte and stays.
pub unsafe fn text<'a>(at: *const c_char) -> std::borrow::Cow<'a, str> {
    if at.is_null() {
        return "unknown".into();
    }
    // SAFETY: as the caller vouches.
    unsafe { std::ffi::CStr::from_ptr(at) }.to_string_lossy()
}

/// Declares a table of C functions that are looked up in a [`Library`]. Status codes are taken as plain
/// integers, as a library newer than these lines may return codes that no enumeration here has.
macro_rules! functions {
    ($table:ident { $($name:ident($($argument:ty),*) -> $value:ty;)* }) => {
        #[expect(non_snake_case, reason = "the functions' own names")]
        struct $table { $($name: unsafe extern "C" fn($($argument),*) -> $value,)* }

        impl $table {
            fn load(library: &$crate::device::cuda::nvidia::library::Library) -> $crate::Result<Self> {
                // SAFETY: the types are those of NVIDIA's headers.
                unsafe { Ok(Self { $($name: library.function(stringify!($name))?,)* }) }
            }
        }
    };
}
pub(super) use functions;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_not_there_is_told_by_all_its_names() {
        let told = Library::open("crossrx-has-no-such", &[12, 13]).err().unwrap();
        assert_eq!(told, "libcrossrx-has-no-such.so.12 or libcrossrx-has-no-such.so.13 not found");
        assert_eq!(file_of("crossrx-has-no-such"), None);
    }

    #[test]
    fn the_first_version_that_is_there_is_opened_and_told_from_where() {
        // The C library has been here all along.
        let library = Library::open("c", &[99, 6]).unwrap_or_else(|why| panic!("{why}"));
        // SAFETY: abs of the C library.
        let abs = unsafe { library.function::<unsafe extern "C" fn(i32) -> i32>("abs") }.unwrap();
        // SAFETY: as above.
        assert_eq!(unsafe { abs(-3) }, 3);
        assert!(file_of("c").unwrap().is_absolute());
        // SAFETY: never called.
        let missing = unsafe { library.function::<unsafe extern "C" fn()>("crossrx_has_no_such") };
        assert!(missing.unwrap_err().to_string().contains("crossrx_has_no_such"));
    }
}
