//! Every test that `docs/reliability.md` names is there.

use std::fs;
use std::path::Path;

#[test]
fn every_promise_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/reliability.md")).unwrap();
    let mut named = 0;
    for link in page.split('[').skip(1) {
        let Some((name, rest)) = link.split_once("](../") else { continue };
        let Some((file, _)) = rest.split_once(')') else { panic!("{name}: no end of the link") };
        let code = fs::read_to_string(root.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        let lines: Vec<&str> = code.lines().map(str::trim).collect();
        let start = format!("fn {name}(");
        let at = lines.iter().position(|line| line.starts_with(&start));
        let at = at.unwrap_or_else(|| panic!("{file} has no test {name}"));
        // `proptest!` wants the attribute too.
        let marks =
            lines[..at].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        assert!(marks.into_iter().any(|line| *line == "#[test]"), "{file}: {name} is no test");
        named += 1;
    }
    assert!(named >= 20, "only {named} tests are named");
    for promise in page.split("\n- ").skip(1) {
        assert!(promise.contains("](../"), "no test keeps: {promise}");
    }
}
