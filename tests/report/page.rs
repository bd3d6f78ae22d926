use crate::tree;
use crossrx::metric::Scores;
use crossrx::report::scores_json;
use std::fs;

#[test]
fn the_page_says_what_was_lost_and_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    tree::write(dir.path());
    let page = fs::read_to_string(tree::report(dir.path()).unwrap()).unwrap();
    for said in [
        "on <b>2 of 2</b> datasets",
        "on <b>1 of 2</b> transfers",
        "A → B-2 (0.125 against 0.375; −0.250 ± 0.000; better on 0 of 2 splits)",
        "Squared units of auc",
        "<th scope=\"col\" class=\"aggregate\">Ga</th><th scope=\"col\">Gna</th>",
        "two_tower: B-2 → A lacks split 1.",
        "endpoint = &quot;auc&quot; # &lt;resolved&gt;",
        "id=\"cell-best-0-1\" data-src=\"A\" data-trg=\"B-2\"",
        "unseen samples",
    ] {
        assert!(page.contains(said), "the page lacks {said:?}");
    }
    assert!(!page.contains("http") && !page.contains("<script"), "the page asks for something");
    let best_of_own = page.split("id=\"cell-best-1-1\"").nth(1).unwrap();
    assert!(
        best_of_own.starts_with(" data-src=\"B-2\" data-trg=\"B-2\" class=\"gap\""),
        "a gap is shown as one"
    );
}

#[test]
fn names_from_outside_stay_text() {
    let dir = tempfile::tempdir().unwrap();
    let name = "<img src=x onerror=alert(1)>\"'&";
    let cell = dir.path().join(format!("infer/{name}-{name}/split_0/test_scores.json"));
    let scores = Scores { mse: 0.1, rmse: 0.3, pcc: 0.5, scc: f64::NAN, r2: 0.25 };
    scores_json::write(&cell, &scores).unwrap();
    let page = fs::read_to_string(tree::report(dir.path()).unwrap()).unwrap();
    assert!(!page.contains("<img") && page.contains("&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;"));
}
