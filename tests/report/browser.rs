use crate::{pretraining, tree};
use crossrx::report::latent;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

#[test]
fn a_browser_shows_every_cell_and_reports_no_error() {
    let dir = tempfile::tempdir().unwrap();
    tree::write(dir.path());
    let page = tree::report(dir.path()).unwrap();
    let Some(browser) = &browser() else { return };

    let broken = dir.path().join("broken.html");
    fs::write(&broken, "<script>console.error('found')</script>").unwrap();
    let (_, console) = open(browser, dir.path(), &broken);
    assert!(console.contains("found"), "errors of a page do not reach this test: {console}");

    let (dom, console) = open(browser, dir.path(), &page);
    assert!(!console.contains("CONSOLE"), "{console}");
    let of_models = ["r2", "gn", "pcc", "scc", "rmse", "mse"].into_iter();
    let of_models = of_models.flat_map(|map| [format!("cell-{map}-0"), format!("cell-{map}-1")]);
    for prefix in of_models.chain(["cell-difference-0-1".into(), "cell-best".into()]) {
        for (s, source) in tree::NAMES.into_iter().enumerate() {
            for (t, target) in tree::NAMES.into_iter().enumerate() {
                let cell = format!("id=\"{prefix}-{s}-{t}\" data-src=\"{source}\" data-trg=\"{target}\"");
                assert_eq!(dom.matches(&cell).count(), 1, "{cell}");
            }
        }
    }
    for value in ["0.625", "0.125", "-0.5", "0.75"] {
        assert!(dom.contains(&format!("data-value=\"{value}\"")), "no cell holds {value}");
    }
}

#[test]
fn a_browser_shows_every_picture_of_a_latent_space_and_reports_no_error() {
    let dir = tempfile::tempdir().unwrap();
    pretraining::write(dir.path());
    latent::write(dir.path(), None).unwrap();
    let Some(browser) = &browser() else { return };
    let (dom, console) = open(browser, dir.path(), &dir.path().join("report.html"));
    assert!(!console.contains("CONSOLE"), "{console}");
    assert_eq!(dom.matches("<svg class=\"chart map\"").count(), 4);
    assert_eq!(dom.matches("</title></path>").count(), 2 * (7 + 1 + 2), "one path a group and picture");
}

/// A browser; `None`, said aloud, where there is none.
fn browser() -> Option<String> {
    let named = std::env::var("CHROMIUM").ok();
    let works = |program: &&str| Command::new(program).arg("--version").output().is_ok();
    if let Some(browser) = named.as_deref().into_iter().chain(PROGRAMS).find(works) {
        return Some(browser.into());
    }
    let what = format!("none of {} is installed, and CHROMIUM names none", PROGRAMS.join(", "));
    assert!(std::env::var_os("CI").is_none(), "{what}");
    // Not eprintln, which a passing test shows to nobody.
    let _ = writeln!(std::io::stderr(), "skipped: {what}");
    None
}

/// The page's document once loaded, and what the browser said meanwhile.
fn open(browser: &str, dir: &Path, page: &Path) -> (String, String) {
    let profile = tempfile::tempdir().unwrap();
    let (dom, console) = (dir.join("dom"), dir.join("console"));
    let mut child = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--dump-dom", "--enable-logging=stderr", "--v=0"])
        .arg(format!("file://{}", page.display()))
        .stdout(File::create(&dom).unwrap())
        .stderr(File::create(&console).unwrap())
        .spawn()
        .unwrap();
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > Duration::from_secs(120) {
            child.kill().unwrap();
            panic!("{browser} did not end in two minutes");
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    assert!(status.success(), "{}", read(&console));
    (read(&dom), read(&console))
}
