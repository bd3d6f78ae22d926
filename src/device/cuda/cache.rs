use std::ffi::OsString;
use std::path::PathBuf;

/// Where built kernels are kept: `$CROSSRX_CACHE/kernels`, or else `crossrx/kernels` in the user's folder of
/// caches; none where the environment names neither, for what lies in a folder that others may write is not to be run.
pub fn cache_folder() -> Option<PathBuf> {
    folder(|name| std::env::var_os(name))
}

fn folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let of_caches = || set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    let ours = set("CROSSRX_CACHE").or_else(|| Some(of_caches()?.join("crossrx")))?;
    Some(ours.join("kernels"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_what_the_user_says_or_the_usual_one() {
        let of = |pairs: &[(&str, &str)]| {
            let value = |name: &str| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v));
            folder(value).map(|path| path.display().to_string())
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("HOME", "/h")]).unwrap(), "/h/.cache/crossrx/kernels");
        assert_eq!(of(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]).unwrap(), "/x/crossrx/kernels");
        assert_eq!(of(&[("CROSSRX_CACHE", "/c"), ("XDG_CACHE_HOME", "/x")]).unwrap(), "/c/kernels");
        assert_eq!(of(&[("CROSSRX_CACHE", ""), ("HOME", "/h")]).unwrap(), "/h/.cache/crossrx/kernels");
    }
}
