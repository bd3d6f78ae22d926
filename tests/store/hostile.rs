//! Sound HDF5 files with content that no writer makes.

use crate::raw::{add_filter, make_array_wide, make_attribute_wide};
use crate::small::{Small, use_all, write_small};
use crossrx::store::Store;
use ndarray::array;
use std::path::Path;
use std::str::FromStr;

/// Replaces an array of a small store behind the writer's back.
fn tamper<T: hdf5::H5Type>(path: &Path, place: &str, values: &[T]) {
    let file = hdf5::File::open_rw(path).unwrap();
    let there = file.dataset(place).unwrap();
    if there.shape() == [values.len()]
        && there.dtype().unwrap().to_descriptor().unwrap() == T::type_descriptor()
    {
        there.write(values).unwrap();
        return;
    }
    drop(there);
    file.unlink(place).unwrap();
    file.new_dataset::<T>()
        .shape(values.len())
        .chunk(values.len())
        .fletcher32()
        .create(place)
        .unwrap()
        .write(values)
        .unwrap();
}

#[test]
fn sound_files_with_wrong_content_are_refused_by_place_and_row() {
    let Small { path, .. } = &Small::new();
    let check = |tampering: &dyn Fn(), words: [&str; 2]| {
        write_small(path).unwrap();
        tampering();
        let error = use_all(path).unwrap_err().to_string();
        assert!(words.iter().all(|w| error.contains(w)), "{error}");
    };
    check(
        &|| tamper(path, "datasets/A/drug", &[0u32, 1, 2, 0, 3, 2]),
        ["/datasets/A/drug", "row 4: index 3"],
    );
    check(&|| tamper(path, "datasets/A/sample", &[0u32; 5]), ["/datasets/A/sample", "5 values for 6 pairs"]);
    check(&|| tamper(path, "datasets/A/drug", &[0i64; 6]), ["/datasets/A", "not"]);
    check(
        &|| tamper(path, "datasets/A/endpoint/auc", &[0f32, 1.0, f32::INFINITY, 0.0, 0.0, 0.0]),
        ["/datasets/A/endpoint/auc", "row 2 is inf"],
    );
    check(
        &|| tamper(path, "datasets/A/dose", &[0f32, 0.0, 0.0, 0.0, 0.0, f32::NAN]),
        ["A/dose", "row 5 is NaN"],
    );
    check(
        &|| tamper(path, "datasets/A/split/0/test", &[4u32, 6]),
        ["split/0", "part test, position 1: row 6"],
    );
    check(&|| tamper(path, "datasets/A/split/0/val", &[1u32]), ["split/0", "row 1 is already in part train"]);
    check(&|| tamper(path, "features/drug/ecfp4/entity", &[2u32, 2]), ["ecfp4/entity", "row 1: drug 2"]);
    check(
        &|| tamper(path, "datasets/A/label/site/code", &[0u16, 1, 2, 0, 0, 0]),
        ["label/site", "row 2 has code 2"],
    );
    let huge = || {
        let file = hdf5::File::open_rw(path).unwrap();
        file.unlink("datasets/B/drug").unwrap();
        let shape = hdf5::SimpleExtents::resizable(vec![1usize << 40]);
        file.new_dataset::<u32>().shape(shape).chunk(1024).fletcher32().create("datasets/B/drug").unwrap();
    };
    check(&huge, ["/datasets/B", "only 0 bytes are stored"]);
    check(&|| tamper(path, "datasets/A/row", &[0u64, 7, 2, 5, 7, 6]), ["A/row", "row 7 of the table"]);
    check(
        &|| tamper(path, "features/sample/expression/values", &[1f32, f32::NAN, 0.0, 0.0, 0.0, 0.0]),
        ["features/sample/expression", "dimensions"],
    );
    let gap = || {
        let file = hdf5::File::open_rw(path).unwrap();
        let values = array![[1f32, 0.0, 0.0], [f32::NAN, 0.0, 0.0]];
        file.dataset("features/sample/expression/values").unwrap().write(&values).unwrap();
    };
    check(&gap, ["features/sample/expression", "lacks 1 values, its attribute says 0"]);
    let twins = || {
        let file = hdf5::File::open_rw(path).unwrap();
        let names = ["column 1"; 3].map(|n| hdf5::types::FixedUnicode::<8>::from_str(n).unwrap());
        file.dataset("features/sample/expression/names").unwrap().write(&names).unwrap();
    };
    check(&twins, ["expression/names", "\"column 1\" is there twice"]);
    let wide = || {
        let file = hdf5::File::open_rw(path).unwrap();
        let group = file.group("features/drug/ecfp4").unwrap();
        group.attr("columns").unwrap().write_scalar(&(1u64 << 30)).unwrap();
        group.unlink("values").unwrap();
        let shape = hdf5::SimpleExtents::resizable(vec![2usize, 1 << 27]);
        let values = group.new_dataset::<u8>().shape(shape).chunk([1, 1 << 20]).deflate(1).fletcher32();
        values.create("values").unwrap();
    };
    check(&wide, ["features/drug/ecfp4", "stored"]);
    let moved = |to: &str| {
        let file = hdf5::File::open_rw(path).unwrap();
        let from = file.group("datasets").unwrap();
        from.relink("B", to).unwrap();
    };
    check(&|| moved(&"x".repeat(101)), ["/datasets", "longer than 100 bytes"]);
    check(&|| moved("a..b"), ["/datasets", "two dots"]);
}

#[test]
fn types_that_a_store_has_not_are_refused_unread() {
    let Small { path, .. } = &Small::new();
    for (place, attribute, words) in [
        ("/datasets/A/drug", None, ["/datasets/A", "does not hold uint32"]),
        ("/drugs/id", None, ["/drugs/id", "does not hold UTF-8 text"]),
        ("/features/drug/ecfp4/values", None, ["ecfp4", "does not hold uint8"]),
        ("/", Some(c"format"), ["/:", "is an HDF5 file, but not a crossrx store"]),
        ("/", Some(c"schema_version"), ["/:", "attribute schema_version does not hold uint32"]),
        ("/datasets/A", Some(c"columns"), ["/datasets/A", "does not hold UTF-8 text"]),
        ("/features/drug/ecfp4", Some(c"columns"), ["ecfp4", "attribute columns does not hold uint64"]),
        ("/features/drug/ecfp4", Some(c"missing"), ["ecfp4", "attribute missing does not hold uint64"]),
    ] {
        let _ = std::fs::remove_file(path);
        write_small(path).unwrap();
        match attribute {
            None => make_array_wide(path, place),
            Some(attribute) => make_attribute_wide(path, place, attribute),
        }
        let error = use_all(path).unwrap_err();
        assert!(matches!(error, crossrx::Error::Store { .. }), "{error}");
        let error = error.to_string();
        assert!(words.iter().all(|w| error.contains(w)) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn chunks_have_a_largest_size() {
    let Small { path, .. } = &Small::new();
    for (values, words) in [(1 << 24, "only 0 bytes are stored"), ((1 << 24) + 1, "the limit is 64 MiB")] {
        let file = hdf5::File::open_rw(path).unwrap();
        file.unlink("datasets/A/drug").unwrap();
        let shape = hdf5::SimpleExtents::resizable([6]);
        let array = file.new_dataset::<u32>().shape(shape).chunk(values).fletcher32();
        array.create("datasets/A/drug").unwrap();
        file.close().unwrap();
        let error = Store::open(path).unwrap_err().to_string();
        assert!(error.contains("/datasets/A") && error.contains(words), "{error}");
    }
}

#[test]
fn hostile_filters_and_links_are_refused() {
    let Small { dir, path, .. } = &Small::new();
    let refused = |words: [&str; 2]| {
        let error = Store::open(path).unwrap_err().to_string();
        assert!(words.iter().all(|w| error.contains(w)) && !error.contains('\n'), "{error}");
    };
    // Replaces the array of six drugs by one with these filters.
    let filtered = |add: &dyn Fn(hdf5::DatasetBuilderEmpty) -> hdf5::DatasetBuilderEmpty| {
        write_small(path).unwrap();
        let file = hdf5::File::open_rw(path).unwrap();
        file.unlink("datasets/A/drug").unwrap();
        add(file.new_dataset::<u32>()).shape(6).chunk(6).create("datasets/A/drug").unwrap();
    };
    filtered(&|b| b.shuffle().deflate(3));
    refused(["/datasets/A", "no checksums"]);
    filtered(&|b| b.fletcher32().scale_offset(hdf5::filters::ScaleOffset::Integer(0)));
    refused(["/datasets/A", "unknown filter number 6"]);
    for filter in [1, 2, 3] {
        write_small(path).unwrap();
        add_filter(path, "datasets/A/drug", filter);
        refused(["/datasets/A", &format!("filter number {filter} twice")]);
    }
    // More parameters than the filter has.
    filtered(&|b| b.fletcher32().add_filter(1, &[1; 200]));
    refused(["/datasets/A", "only 0 bytes are stored"]);

    write_small(path).unwrap();
    let other = dir.path().join("other.h5");
    std::fs::copy(path, &other).unwrap();
    type Damage<'a> = (&'a dyn Fn(&hdf5::File), &'a str);
    let damages: [Damage; 4] = [
        (&|f| f.group("datasets").unwrap().link_soft("/datasets/A", "C").unwrap(), "/datasets/C"),
        (&|f| f.link_external(other.to_str().unwrap(), "/truth", "extra").unwrap(), "/extra"),
        (
            &|f| {
                f.unlink("datasets/A/label/site/code").unwrap();
                let group = f.group("datasets/A/label/site").unwrap();
                group.link_soft("/datasets/A/drug", "code").unwrap();
            },
            "/datasets/A/label/site/code",
        ),
        (
            &|f| {
                f.unlink("drugs/id").unwrap();
                f.group("drugs").unwrap().link_external("other.h5", "/drugs/id", "id").unwrap();
            },
            "/drugs/id",
        ),
    ];
    for (damage, place) in damages {
        write_small(path).unwrap();
        damage(&hdf5::File::open_rw(path).unwrap());
        refused([place, "soft or external link"]);
    }
    // A group that holds itself is walked no deeper than the layout goes.
    write_small(path).unwrap();
    hdf5::File::open_rw(path).unwrap().link_hard("/datasets", "datasets/B/again").unwrap();
    assert_eq!(Store::open(path).unwrap().datasets().len(), 2);
}
