use crate::pretraining::{self, HOSTILE};
use crossrx::report::latent;
use crossrx::report::latent::quality_json::{self, Quality};
use std::fs;
use std::path::Path;

fn page(dir: &Path) -> String {
    latent::write(dir, None).unwrap();
    fs::read_to_string(dir.join("report.html")).unwrap()
}

#[test]
fn the_page_says_what_was_learned_and_shows_it_by_class_and_study() {
    let dir = tempfile::tempdir().unwrap();
    pretraining::write(dir.path());
    let page = page(dir.path());
    for said in [
        "An autoencoder learned <b>64</b> latent values from 900 columns of 360 rows: <b>expression</b> (80), <b>tcga</b> (280).",
        "reconstructs <b>62.5 %</b> of the variance of the 36 rows held out",
        "the 5 nearest neighbours of a held-out row tell its class in <b>75.0 %</b> of cases (all rows, whose classes center loss has mostly seen: 87.5 %; always saying the largest class: 25.0 %). There are 7 classes: those of tumour-type and site, clusters for the rest.",
        "Silhouette of held-out rows by class <b>0.125</b>, by study <b>0.031</b> (all rows: 0.250 and 0.016; high by class and low by study is good): rows lie together by class and studies lie in one another, as it should be. Neighbours tell the study in 81.2 % of cases (largest study: 75.0 %).</p>",
        "by <b>class</b> · silhouette held out <b>0.125</b>, all rows 0.250 · 5-NN accuracy held out <b>0.750</b>, all rows 0.875 (majority 0.250)",
        "by <b>study</b> · silhouette held out <b>0.031</b>, all rows 0.016 · 5-NN accuracy <b>0.812</b> (majority 0.750)",
        "R², held out",
        "Held-out rows chose the epoch.",
        "noise and center terms included",
        "component 1, 30.0 % of the variance",
        "<th scope=\"row\">tcga</th><td class=\"n\">–</td><td class=\"n\">0.3125</td><td class=\"n\">–</td><td class=\"n\">0.688</td>",
        "Loss curves of Reconstruction",
        "# &lt;resolved&gt;",
        "<span>type-6</span> <small>11</small>",
        "<span>none</span> <small>40</small>",
        "75 s",
    ] {
        assert!(page.contains(said), "the page lacks {said:?}");
    }
    assert_eq!(page.matches("<svg class=\"chart map\"").count(), 4);
    // Seven classes and rows without one in two pictures, two studies in two.
    assert_eq!(page.matches("<title>type-6</title>").count(), 2);
    assert_eq!(page.matches("<title>no class</title>").count(), 2);
    assert_eq!(page.matches("<title>tcga</title>").count(), 2);
    assert!(!page.contains("http") && !page.contains("<script"), "the page asks for something");
    assert!(!page.contains(HOSTILE) && page.contains("&lt;b&gt;glioma&lt;/b&gt; &amp; &quot;others&quot;"));
}

#[test]
fn a_line_for_the_terminal_says_the_same() {
    let dir = tempfile::tempdir().unwrap();
    assert!(!latent::is_pretraining(dir.path()));
    pretraining::write(dir.path());
    assert!(latent::is_pretraining(dir.path()));
    assert_eq!(
        latent::summary(dir.path()).unwrap(),
        "an autoencoder, 900 columns into 64: R2 on held-out rows 0.625, 5-NN class accuracy of held-out rows 0.750 \
         (all rows 0.875), largest class 0.250, silhouette by class of held-out rows 0.125 (all rows 0.250), by study \
         of held-out rows 0.031 (all rows 0.016)"
    );
}

#[test]
fn a_long_table_draws_five_thousand_points_and_the_same_ones_each_time() {
    let dir = tempfile::tempdir().unwrap();
    pretraining::write(dir.path());
    let rows = pretraining::embedding();
    let (header, rows) = rows.split_once('\n').unwrap();
    fs::write(dir.path().join("embedding.csv"), format!("{header}\n{}", rows.repeat(20))).unwrap();
    let mut quality = pretraining::quality();
    quality.studies.iter_mut().for_each(|study| study.rows *= 20);
    quality_json::write(&dir.path().join("quality.json"), &quality).unwrap();
    let first = page(dir.path());
    assert!(first.contains("Principal components, 5\u{2009}000 of 7\u{2009}200 rows"));
    let studies = |name: &str| {
        let path = first.split(&format!("<title>{name}</title>")).next().unwrap();
        path.rsplit("d=\"").next().unwrap().matches("h0").count()
    };
    assert_eq!(studies("expression") + studies("tcga"), 5000);
    assert_eq!(first, page(dir.path()));
}

#[test]
fn what_is_not_as_it_should_be_is_said() {
    let dir = tempfile::tempdir().unwrap();
    pretraining::write(dir.path());
    let with = |change: fn(&mut Quality)| {
        let mut quality = pretraining::quality();
        change(&mut quality);
        quality_json::write(&dir.path().join("quality.json"), &quality).unwrap();
        page(dir.path())
    };
    let by_study = "<b>by study at least as much as by class</b>";
    assert!(with(|q| q.silhouette.study_val = Some(0.5)).contains(by_study));
    assert!(!with(|q| q.silhouette.study = Some(0.5)).contains(by_study), "held-out rows are known");
    let told = "more by class than by study, but studies are still told apart";
    assert!(with(|q| q.silhouette.study_val = Some(0.1)).contains(told));
    assert!(with(|q| q.knn.study_accuracy = Some(1.0)).contains(told), "no clumps, yet side by side");
    let neither = with(|q| {
        q.knn.study_accuracy = Some(1.0);
        (q.silhouette.class_val, q.silhouette.study_val) = (Some(-0.1), Some(-0.2));
    });
    assert!(neither.contains("do not lie together by class, and studies are still told apart"));
    let all_rows = with(|q| {
        (q.silhouette.class_val, q.silhouette.study_val) = (None, None);
        q.knn.class_accuracy_val = None;
    });
    assert!(all_rows.contains("<p>Silhouette by class <b>0.250</b>, by study <b>0.016</b> (high"));
    assert!(all_rows.contains("neighbours of a row tell its class in <b>87.5 %</b> of cases (always saying"));
    assert!(all_rows.contains("by <b>class</b> · silhouette <b>0.250</b> · 5-NN accuracy <b>0.875</b> (maj"));
    assert!(with(|q| q.knn.class_accuracy_val = Some(0.25)).contains("<b>no more than by chance</b>"));
    assert!(
        with(|q| q.reconstruction.r2_val = Some(-0.5)).contains("<b>no better than the mean</b> (R² −0.500)")
    );
    assert!(with(|q| q.reconstruction.r2_val = None).contains("No rows were held out"));
    let bce = with(|q| q.loss = "bce".into());
    for said in [
        "takes <b>62.5 %</b> off the cross-entropy of the 36 rows held out (which a perfect encoder does not bring to 0)",
        "part gone, held out",
    ] {
        assert!(bce.contains(said), "the page lacks {said:?}");
    }
    assert!(!bce.contains("R²"));
}

#[test]
fn classes_of_one_study_each_are_said_to_be() {
    let dir = tempfile::tempdir().unwrap();
    pretraining::write(dir.path());
    let said = "No class has rows of two studies, so what tells classes apart tells studies apart as well.";
    assert!(!page(dir.path()).contains(said));
    let mut table = String::new();
    for line in pretraining::embedding().lines() {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
        let record = reader.records().next().unwrap().unwrap();
        let class = if &record[1] == "tcga" { "type-2" } else { &record[2] };
        let class = if &record[1] == "expression" { "type-1" } else { class };
        let rest: Vec<&str> = record.iter().skip(3).collect();
        table += &format!("{},{},{class},{}\n", &record[0], &record[1], rest.join(","));
    }
    fs::write(dir.path().join("embedding.csv"), table).unwrap();
    assert!(page(dir.path()).contains(said));
}

#[test]
fn a_space_without_classes_or_a_history_has_a_page() {
    let dir = tempfile::tempdir().unwrap();
    pretraining::write(dir.path());
    let mut quality = pretraining::quality();
    (quality.kind, quality.class_origin) = ("pca".into(), "none".into());
    quality.classes.clear();
    let (silhouette, knn) = (&mut quality.silhouette, &mut quality.knn);
    (silhouette.class, silhouette.class_val) = (None, None);
    (knn.class_accuracy, knn.class_accuracy_val, knn.majority_share) = (None, None, None);
    quality.studies.iter_mut().for_each(|study| study.rows = 1);
    quality_json::write(&dir.path().join("quality.json"), &quality).unwrap();
    let table = "tsne2,id,study,class,part,pc1,pc2,tsne1\n1,a,tcga,,train,0,1,2\n,b,expression,,val,0,1,\n";
    fs::write(dir.path().join("embedding.csv"), table).unwrap();
    // Components are found at once.
    let epochs = fs::read_to_string(dir.path().join("history.csv")).unwrap();
    let first: Vec<&str> = epochs.lines().take(2).collect();
    fs::write(dir.path().join("history.csv"), first.join("\n")).unwrap();
    assert!(!self::page(dir.path()).contains("Learning curve"));
    for name in ["history.csv", "deck.toml", "run.json"] {
        fs::remove_file(dir.path().join(name)).unwrap();
    }
    let page = page(dir.path());
    assert!(
        page.contains("A principal component analysis learned")
            && page.contains("No class of the rows is known")
            && page
                .contains("Silhouette of held-out rows by study <b>0.031</b> (all rows: 0.016; low is good)")
            && !page.contains("Held-out rows chose the epoch")
    );
    assert_eq!(page.matches("<svg class=\"chart map\"").count(), 2);
    assert!(page.contains("Neighbour embedding (t-SNE), 1 of 2 rows"));
    assert!(!page.contains("Learning curve") && !page.contains("by <b>class</b>"));
    fs::write(
        dir.path().join("embedding.csv"),
        "tsne2,id,study,class,part,pc1,pc2,tsne1\n,a,tcga,,train,0,0,\n,b,expression,,val,0,0,\n",
    )
    .unwrap();
    let page = self::page(dir.path());
    assert_eq!(page.matches("<svg class=\"chart map\"").count(), 1);
    assert!(page.contains("There is none: the rows were too few, or all the same."));
}

#[test]
fn what_is_broken_is_named_and_writes_no_page() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |said: &[&str]| {
        let message = latent::write(dir.path(), None).unwrap_err().to_string();
        assert!(said.iter().all(|what| message.contains(what)) && !message.contains('\n'), "{message}");
        assert!(!dir.path().join("report.html").exists());
    };
    refused(&["quality.json"]);
    pretraining::write(dir.path());
    let embedding = dir.path().join("embedding.csv");
    let header = "id,study,class,part,pc1,pc2,tsne1,tsne2";
    for (text, said) in [
        ("id,study,class,part,pc1,pc2,tsne1\n".to_string(), "embedding.csv:1: has no column tsne2"),
        (format!("{header}\n"), "embedding.csv:1: holds no rows"),
        (
            format!("{header}\na,tcga,,train,0,0,0,0\na,other,,train,0,0,0,0\n"),
            "embedding.csv:3: study: \"other\"",
        ),
        (format!("{header}\na,tcga,lung,train,0,0,0,0\n"), "embedding.csv:2: class: \"lung\""),
        (format!("{header}\na,tcga,,test,0,0,0,0\n"), "embedding.csv:2: part: \"test\""),
        (
            format!("{header}\na,tcga,,val,0,inf,0,0\n"),
            "embedding.csv:2: pc2: \"inf\" is not a finite number",
        ),
        (format!("{header}\na,tcga,,val,0,0,,0\n"), "embedding.csv:2: tsne1: \"\" is not a finite number"),
        (format!("{header}\na,tcga,,val,0,0\n"), "embedding.csv:2"),
        (
            format!("{header}\na,tcga,,val,0,0,0,0\n"),
            "embedding.csv: 1 row here, 360 in the studies of quality.json; make it again with crossrx pretrain --fresh",
        ),
    ] {
        fs::write(&embedding, text).unwrap();
        refused(&[said]);
    }
    fs::write(&embedding, pretraining::embedding()).unwrap();
    for (change, said) in [
        ((|q: &mut Quality| q.studies.clear()) as fn(&mut Quality), "studies: there is none"),
        (|q| q.studies[1].name = "expression".into(), "studies: \"expression\" is there twice"),
        (|q| q.classes[1].name = "type-2".into(), "classes: \"type-2\" is there twice"),
        (|q| q.silhouette.class = Some(1.5), "silhouette.class: 1.5 is not between -1 and 1"),
        (|q| q.silhouette.study_val = Some(-2.0), "silhouette.study_val: -2 is not between -1 and 1"),
        (|q| q.knn.majority_share = Some(-0.5), "knn.majority_share: -0.5 is not between 0 and 1"),
        (|q| q.pc_variance[1] = 2.0, "pc_variance: 2 is not between 0 and 1"),
    ] {
        let mut quality = pretraining::quality();
        change(&mut quality);
        quality_json::write(&dir.path().join("quality.json"), &quality).unwrap();
        refused(&["quality.json", said, "; make it again with crossrx pretrain --fresh"]);
    }
    fs::write(dir.path().join("quality.json"), "{\"kind\": \"pca\"}").unwrap();
    refused(&["quality.json", "missing field"]);
    quality_json::write(&dir.path().join("quality.json"), &pretraining::quality()).unwrap();
    fs::write(dir.path().join("history.csv"), "epoch\n1\n").unwrap();
    refused(&["history.csv:1"]);
}
