use std::path::PathBuf;

/// Where built kernels are kept: `CROSSRX_CACHE`, or `crossrx/kernels` in the user's cache folder, or
/// else in the folder for temporary files.
pub fn cache_folder() -> PathBuf {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = folder("CROSSRX_CACHE") {
        return folder;
    }
    let user = folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")));
    user.unwrap_or_else(std::env::temp_dir).join("crossrx").join("kernels")
}
