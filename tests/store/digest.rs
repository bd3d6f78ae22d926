//! Copies have one digest; stores that differ in anything have two.

use crate::chunks::write_large;
use crate::small::{Small, strings, write_small};
use crossrx::store::{SplitRows, Store, StoreWriter};
use hdf5::types::FixedUnicode;
use ndarray::{Array2, array};
use std::collections::HashSet;
use std::path::Path;

fn digest(path: &Path) -> String {
    Store::open(path).unwrap().digest().unwrap()
}

/// Writes an array where it is, through HDF5's own filters.
fn put<T: hdf5::H5Type>(file: &hdf5::File, place: &str, values: &[T]) {
    let array = file.dataset(place).unwrap();
    assert_eq!(array.shape(), [values.len()], "{place}");
    array.write(values).unwrap();
}

fn put_table<T: hdf5::H5Type>(file: &hdf5::File, place: &str, values: &Array2<T>) {
    file.dataset(place).unwrap().write(values).unwrap();
}

fn put_text<const N: usize>(file: &hdf5::File, place: &str, values: &[&str]) {
    let values: Vec<FixedUnicode<N>> = values.iter().map(|v| v.parse().unwrap()).collect();
    put(file, place, &values);
}

fn put_attribute<const N: usize>(file: &hdf5::File, place: &str, name: &str, values: &[&str]) {
    let values: Vec<FixedUnicode<N>> = values.iter().map(|v| v.parse().unwrap()).collect();
    let object =
        file.group(place).map(|g| g.attr(name)).or_else(|_| file.dataset(place).map(|d| d.attr(name)));
    object.unwrap().unwrap().write_raw(&values).unwrap();
}

type Change = fn(&hdf5::File, bool);

/// One change each; `true` makes it, `false` writes what is there, in the same way.
const CHANGES: [(&str, Change); 22] = [
    ("drug id", |f, new| put_text::<16>(f, "drugs/id", &["d0", if new { "d3" } else { "d1" }, "Prüfstoff"])),
    ("sample id", |f, new| put_text::<8>(f, "samples/id", &["s0", if new { "s2" } else { "s1" }])),
    ("text", |f, new| put_text::<8>(f, "drugs/text/smiles", &["CC", "C1CC1", if new { "C" } else { "" }])),
    ("name of a text column", |f, new| {
        f.relink("drugs/text/smiles", if new { "drugs/text/smile" } else { "drugs/text/other" }).unwrap();
        if !new {
            f.relink("drugs/text/other", "drugs/text/smiles").unwrap();
        }
    }),
    ("feature value", |f, new| {
        let least = f32::from_bits(2.5f32.to_bits() + u32::from(new));
        put_table(f, "features/sample/expression/values", &array![[1.0, least, -3.0], [0.0, 1e-3, 4.0]]);
    }),
    ("feature bit", |f, new| {
        put_table(f, "features/drug/ecfp4/values", &array![[0x49u8, 0x02], [u8::from(new), 0x04]]);
    }),
    ("feature's entity", |f, new| put(f, "features/drug/ecfp4/entity", &[2, u32::from(new)])),
    ("feature's column", |f, new| {
        let names = ["column 0", "column 1", if new { "column 3" } else { "column 2" }];
        put_text::<8>(f, "features/sample/expression/names", &names);
    }),
    ("feature's units", |f, new| {
        put_attribute::<8>(f, "features/sample/expression", "units", &[if new { "2" } else { "1" }]);
    }),
    ("drug of a pair", |f, new| put(f, "datasets/A/drug", &[0, 1, 2, 0, 1, 2 - u32::from(new)])),
    ("sample of a pair", |f, new| put(f, "datasets/A/sample", &[0, 1, 1, 0, 1, 1 - u32::from(new)])),
    ("row of a pair", |f, new| put(f, "datasets/A/row", &[0, 1, 2, 3, 4, 5 + u64::from(new)])),
    ("dose", |f, new| {
        let last = f32::from_bits((-4.0f32).to_bits() + u32::from(new));
        put(f, "datasets/A/dose", &[-6.0, -5.0, -4.0, -6.0, -5.0, last]);
    }),
    ("dose's units", |f, new| {
        put_attribute::<8>(f, "datasets/A/dose", "units", &[if new { "log10 m" } else { "log10 M" }]);
    }),
    ("endpoint", |f, new| {
        let last = if new { 0.0 } else { f32::NAN };
        put(f, "datasets/A/endpoint/auc", &[0.5, 0.25, f32::NAN, 0.5, 0.25, last]);
    }),
    ("endpoint's units", |f, new| {
        put_attribute::<8>(f, "datasets/A/endpoint/auc", "units", &[if new { "%" } else { "1" }]);
    }),
    ("name of a dataset", |f, new| {
        f.relink("datasets/B", if new { "datasets/C" } else { "datasets/other" }).unwrap();
        if !new {
            f.relink("datasets/other", "datasets/B").unwrap();
        }
    }),
    ("header", |f, new| {
        let names = ["source", "auc", if new { "ic51" } else { "ic50" }];
        put_attribute::<8>(f, "datasets/A", "columns", &names);
    }),
    ("label's code", |f, new| put(f, "datasets/A/label/site/code", &[0, 1, 1, 0, 1, 1 - u16::from(new)])),
    ("label's text", |f, new| {
        put_text::<8>(f, "datasets/A/label/site/value", &["lung", if new { "bone" } else { "skin" }]);
    }),
    ("order in a split", |f, new| {
        put(f, "datasets/A/split/0/test", if new { &[5u32, 4] } else { &[4, 5] });
    }),
    ("best R2", |f, new| {
        let last = if new { 0.81 } else { 0.8 };
        put_table(f, "truth/best_r2", &array![[0.9, 0.5], [0.25, last]]);
    }),
];

#[test]
fn any_change_is_another_digest() {
    let Small { dir, path, .. } = &Small::new();
    let mut seen = HashSet::from([digest(path)]);
    for (what, change) in CHANGES {
        // HDF5 deflates otherwise than crossrx, so what is compared has been written by HDF5 too.
        let [old, again, new] = [(false, "old"), (false, "again"), (true, "new")].map(|(new, name)| {
            let copy = dir.path().join(name);
            std::fs::copy(path, &copy).unwrap();
            let file = hdf5::File::open_rw(&copy).unwrap();
            change(&file, new);
            file.close().unwrap();
            digest(&copy)
        });
        assert_eq!(old, again, "{what}");
        assert_ne!(old, new, "{what}");
        assert!(seen.insert(new), "{what} has the digest of another change");
    }
}

#[test]
fn copies_have_one_digest_whatever_made_them() {
    let Small { dir, path, .. } = &Small::new();
    let first = digest(path);
    assert!(first.len() == 32 && first.bytes().all(|b| b.is_ascii_hexdigit()), "{first}");
    let copy = dir.path().join("copy.h5");
    std::fs::copy(path, &copy).unwrap();
    assert_eq!(digest(&copy), first);
    write_small(&copy).unwrap();
    assert_eq!(digest(&copy), first);
    // The same content by another command, at other addresses.
    StoreWriter::amend(&copy, "another").unwrap().finish().unwrap();
    assert_ne!(std::fs::read(&copy).unwrap(), std::fs::read(path).unwrap());
    assert_eq!(digest(&copy), first);
    let mut w = StoreWriter::amend(&copy, "another").unwrap();
    w.split("B", 0, &SplitRows { train: vec![0], ..SplitRows::default() }).unwrap_err();
    w.split("A", 1, &SplitRows { train: vec![0, 1, 2], val: vec![3], test: vec![4, 5] }).unwrap();
    w.text(crossrx::store::Entity::Sample, "tissue", &strings(&["", ""])).unwrap();
    w.finish().unwrap();
    assert_ne!(digest(&copy), first);
}

#[test]
fn threads_change_no_digest_and_every_chunk_counts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large.h5");
    write_large(&path, 65_536);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| digest(&path))
    };
    let first = on(1);
    assert_eq!(on(3), first);
    let sound = std::fs::read(&path).unwrap();
    for place in ["features/drug/noisy/values", "datasets/A/endpoint/auc", "datasets/A/sample"] {
        let chunks: Vec<_> = {
            let file = hdf5::File::open(&path).unwrap();
            let array = file.dataset(place).unwrap();
            (0..array.num_chunks().unwrap()).map(|k| array.chunk_info(k).unwrap()).collect()
        };
        assert!(chunks.len() > 3, "{place}");
        for chunk in chunks {
            let mut bytes = sound.clone();
            bytes[(chunk.addr + chunk.size / 3) as usize] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            assert_ne!(on(2), first, "{place} {:?}", chunk.offset);
        }
    }
}

#[test]
fn what_has_no_digest_is_said() {
    let Small { path, .. } = &Small::new();
    let file = hdf5::File::open_rw(path).unwrap();
    file.unlink("datasets/A/split/0/val").unwrap();
    file.new_dataset::<u32>().shape(1).create("datasets/A/split/0/val").unwrap().write(&[3u32]).unwrap();
    file.close().unwrap();
    let error = Store::open(path).unwrap().digest().unwrap_err().to_string();
    assert!(error.contains("/datasets/A/split/0/val") && error.contains("not chunked"), "{error}");
}
