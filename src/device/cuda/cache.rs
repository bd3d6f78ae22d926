use std::path::PathBuf;

/// Where built kernels are kept: `$CROSSRX_CACHE/kernels`, or else `crossrx/kernels` in the user's folder
/// of caches, or in the folder for temporary files where the environment names neither.
pub fn cache_folder() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let of_caches = || set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    let ours = set("CROSSRX_CACHE").or_else(|| Some(of_caches()?.join("crossrx")));
    ours.unwrap_or_else(|| std::env::temp_dir().join("crossrx")).join("kernels")
}
