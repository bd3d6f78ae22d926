//! A store written here: read back, amended, and refused once it is damaged.

use crossrx::store::{
    Encoding, Entity, FeatureInfo, PairBlock, SplitRows, Store, StoreSummary, StoreWriter, verify,
};
use ndarray::{Array2, array};
use proptest::prelude::*;
#[cfg(unix)]
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::str::FromStr;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A child process inherits HDF5's descriptors and with them its file locks,
/// so no test may have a store open while another starts a child.
static CHILDREN: RwLock<()> = RwLock::new(());

fn no_children() -> RwLockReadGuard<'static, ()> {
    CHILDREN.read().unwrap_or_else(PoisonError::into_inner)
}

fn only_children() -> RwLockWriteGuard<'static, ()> {
    CHILDREN.write().unwrap_or_else(PoisonError::into_inner)
}

fn strings(values: &[&str]) -> Vec<String> {
    values.iter().map(|v| v.to_string()).collect()
}

fn info(entity: Entity, name: &str, encoding: Encoding, rows: usize, columns: usize) -> FeatureInfo {
    FeatureInfo { entity, name: name.into(), encoding, rows, columns, units: "1".into() }
}

/// Two datasets, A with a dose, a label and two endpoints, B with one endpoint.
fn write_small(path: &Path) -> crossrx::Result<()> {
    let mut w = StoreWriter::replace(path, "test")?;
    w.entities(Entity::Drug, &strings(&["d0", "d1", "Prüfstoff"]))?;
    w.entities(Entity::Sample, &strings(&["s0", "s1"]))?;
    w.text(Entity::Drug, "smiles", &strings(&["CC", "C1CC1", ""]))?;
    let mut f = w.feature(info(Entity::Drug, "ecfp4", Encoding::Bits, 2, 11), &names(11), &[2, 0])?;
    f.origin("made up")?;
    f.append(Array2::from_shape_fn((1, 11), |(_, c)| f32::from(c % 3 == 0)).view())?;
    f.append(Array2::from_shape_fn((1, 11), |(_, c)| f32::from(c == 10)).view())?;
    f.finish()?;
    let mut f = w.feature(info(Entity::Sample, "expression", Encoding::F32, 2, 3), &names(3), &[0, 1])?;
    f.append(array![[1.0, 2.5, -3.0], [0.0, 1e-3, 4.0]].view())?;
    f.finish()?;
    let endpoints = [("auc".to_string(), "1".to_string()), ("ic50".to_string(), "log10 M".to_string())];
    let mut d =
        w.dataset("A", &endpoints, true, &strings(&["site"]), &strings(&["source", "auc", "ic50"]))?;
    for start in [0u64, 3] {
        d.append(&PairBlock {
            drug: vec![0, 1, 2],
            sample: vec![0, 1, 1],
            row: vec![start, start + 1, start + 2],
            dose: vec![-6.0, -5.0, -4.0],
            endpoints: vec![vec![0.5, 0.25, f32::NAN], vec![1.0, 2.0, 3.0 + start as f32]],
            labels: vec![vec![0, 1, 1]],
        })?;
    }
    d.label_values("site", &strings(&["lung", "skin"]))?;
    d.finish()?;
    let mut d = w.dataset("B", &endpoints[..1], false, &[], &strings(&["auc"]))?;
    d.append(&PairBlock {
        drug: vec![1],
        sample: vec![0],
        row: vec![9],
        endpoints: vec![vec![0.75]],
        ..PairBlock::default()
    })?;
    d.finish()?;
    w.split("A", 0, &SplitRows { train: vec![0, 1, 2], val: vec![3], test: vec![4, 5] })?;
    w.best_r2(&strings(&["A", "B"]), array![[0.9, 0.5], [0.25, 0.8]].view())?;
    w.finish()
}

fn names(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("column {i}")).collect()
}

#[test]
fn what_is_written_is_read() {
    let _guard = no_children();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sub/small.h5");
    write_small(&path).unwrap();
    let store = Store::open(&path).unwrap();
    assert_eq!(store.provenance().command, "test");
    assert_eq!((store.count(Entity::Drug), store.count(Entity::Sample)), (3, 2));
    assert_eq!(store.ids(Entity::Drug).unwrap(), ["d0", "d1", "Prüfstoff"]);
    assert_eq!(store.texts(Entity::Drug).unwrap(), ["smiles"]);
    assert_eq!(store.text(Entity::Drug, "smiles").unwrap(), ["CC", "C1CC1", ""]);
    let bits = store.feature(Entity::Drug, "ecfp4").unwrap();
    assert_eq!(bits.entity, [2, 0]);
    assert_eq!(bits.values.row(0).to_vec(), [1., 0., 0., 1., 0., 0., 1., 0., 0., 1., 0.]);
    assert_eq!(bits.values.row(1).iter().sum::<f32>(), 1.0);
    let table = store.feature(Entity::Sample, "expression").unwrap();
    assert_eq!(table.values, array![[1.0, 2.5, -3.0], [0.0, 1e-3, 4.0]]);
    assert_eq!(table.names, names(3));

    let a = store.dataset("A").unwrap();
    assert_eq!((a.pairs, a.dose, &a.splits[..]), (6, true, &[0][..]));
    assert_eq!(a.columns, ["source", "auc", "ic50"]);
    let pairs = store.pairs("A", "ic50", 1..6).unwrap();
    assert_eq!(pairs.value, [2.0, 3.0, 1.0, 2.0, 6.0]);
    assert_eq!(pairs.dose, [-5.0, -4.0, -6.0, -5.0, -4.0]);
    let some = store.pairs_at("A", "ic50", &[5, 1, 5]).unwrap();
    assert_eq!((some.drug, some.sample), (vec![2, 1, 2], vec![1, 1, 1]));
    assert_eq!(some.value, [6.0, 2.0, 6.0]);
    assert!(store.endpoint_values("A", "auc", 2..3).unwrap()[0].is_nan());
    assert_eq!(store.rows_of_table("B", 0..1).unwrap(), [9]);
    assert_eq!(store.label("A", "site").unwrap().0, [0, 1, 1, 0, 1, 1]);
    assert_eq!(store.split("A", 0).unwrap().test, [4, 5]);
    assert_eq!(store.best_r2().unwrap().unwrap().1[(0, 1)], 0.5);

    let report = verify(&store).unwrap();
    assert_eq!((report.pairs, report.splits, report.feature_values), (7, 1, 28));
    let summary = StoreSummary::of(&store).unwrap();
    assert_eq!((summary.overlaps[0].drugs, summary.overlaps[0].samples), (1, 1));
    assert_eq!(summary.datasets[0].dose, Some((-6.0, -4.0)));
    assert_eq!(
        (summary.datasets[0].endpoints[0].measured, summary.datasets[0].endpoints[0].mean),
        (4, 0.375)
    );
    let json = serde_json::to_string(&summary).unwrap();
    let again: StoreSummary = serde_json::from_str(&json).unwrap();
    assert_eq!((again.features, again.overlaps), (summary.features, summary.overlaps));
}

#[test]
fn what_is_not_there_is_answered_with_what_is() {
    let _guard = no_children();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("small.h5");
    write_small(&path).unwrap();
    let store = Store::open(&path).unwrap();
    for (error, there) in [
        (store.feature(Entity::Drug, "mordred").unwrap_err(), "ecfp4"),
        (store.dataset("CCLE").unwrap_err(), "A, B"),
        (store.pairs("A", "aac", 0..1).unwrap_err(), "auc, ic50"),
        (store.split("A", 3).unwrap_err(), "there is 0"),
        (store.text(Entity::Sample, "tissue").unwrap_err(), "none at all"),
        (store.pairs("A", "auc", 0..7).unwrap_err(), "0..7 of 6"),
        (store.pairs_at("A", "auc", &[6]).unwrap_err(), "row 6 of 6"),
    ] {
        let line = error.to_string();
        assert!(line.contains(there) && !line.contains('\n'), "{line}");
    }
}

/// Everything that a program would do with a store.
fn use_all(path: &Path) -> crossrx::Result<()> {
    let store = Store::open(path)?;
    verify(&store)?;
    StoreSummary::of(&store)?;
    for entity in Entity::ALL {
        for feature in store.features(entity) {
            store.feature(entity, &feature.name)?;
        }
    }
    for dataset in store.datasets() {
        for (endpoint, _) in &dataset.endpoints {
            let last = dataset.pairs as u32 - 1;
            store.pairs_at(&dataset.name, endpoint, &[last, 0])?;
        }
    }
    Ok(())
}

/// What a sound store gives, to compare a damaged one with.
fn content(path: &Path) -> Vec<String> {
    let store = Store::open(path).unwrap();
    let mut all = vec![format!("{:?}", StoreSummary::of(&store).unwrap())];
    for entity in Entity::ALL {
        all.extend(store.ids(entity).unwrap());
        for feature in store.features(entity) {
            all.push(format!("{:?}", store.feature(entity, &feature.name).unwrap()));
        }
    }
    for dataset in store.datasets() {
        for (endpoint, _) in &dataset.endpoints {
            all.push(format!("{:?}", store.pairs(&dataset.name, endpoint, 0..dataset.pairs).unwrap()));
        }
        for &k in &dataset.splits {
            all.push(format!("{:?}", store.split(&dataset.name, k).unwrap()));
        }
    }
    all
}

#[test]
fn damaged_stores_are_refused_or_harmless() {
    let _guard = no_children();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("small.h5");
    write_small(&path).unwrap();
    let sound = std::fs::read(&path).unwrap();
    let expected = content(&path);
    let damaged = dir.path().join("damaged.h5");
    let step = sound.len() / 1500 + 1;
    let mut refused = 0;
    for at in (0..sound.len()).step_by(step) {
        let mut bytes = sound.clone();
        bytes[at] ^= 0xa5;
        std::fs::write(&damaged, &bytes).unwrap();
        match use_all(&damaged) {
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().contains('\n'), "{error}");
            }
            // The flipped byte is padding that nothing reads.
            Ok(()) => assert_eq!(content(&damaged), expected, "byte {at} changed what is read, unnoticed"),
        }
    }
    assert!(refused > 50, "only {refused} flipped bytes were noticed");
    for part in 1..40 {
        std::fs::write(&damaged, &sound[..sound.len() * part / 40]).unwrap();
        assert!(use_all(&damaged).is_err(), "{part}/40 of a store was taken for whole");
    }
    std::fs::write(&damaged, b"drug,sample\n").unwrap();
    assert!(Store::open(&damaged).unwrap_err().to_string().contains("damaged.h5"));
}

fn storable() -> impl Strategy<Value = f32> {
    use prop::num::f32::{NEGATIVE, NORMAL, POSITIVE, QUIET_NAN, SUBNORMAL, ZERO};
    POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO | QUIET_NAN
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Runs of bytes overwritten, taken out or put in: more than a flipped byte.
    #[test]
    fn mangled_stores_are_refused_or_harmless(
        at in 0.0..1.0f64,
        taken in 0usize..64,
        put in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let _guard = no_children();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("small.h5");
        write_small(&path).unwrap();
        let expected = content(&path);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = (at * bytes.len() as f64) as usize;
        let end = bytes.len().min(at + taken);
        bytes.splice(at..end, put);
        std::fs::write(&path, &bytes).unwrap();
        match use_all(&path) {
            Err(error) => prop_assert!(!error.to_string().contains('\n'), "{}", error),
            Ok(()) => prop_assert_eq!(content(&path), expected),
        }
    }

    /// Any values that may be stored come back to the bit.
    #[test]
    fn any_pairs_come_back(
        rows in prop::collection::vec((0u32..3, 0u32..2, storable(), -12.0f32..0.0), 1..50),
    ) {
        let _guard = no_children();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pairs.h5");
        let mut w = StoreWriter::create(&path, "test").unwrap();
        w.entities(Entity::Drug, &names(3)).unwrap();
        w.entities(Entity::Sample, &names(2)).unwrap();
        let mut d = w.dataset("A", &[("auc".into(), "1".into())], true, &[], &[]).unwrap();
        let block = PairBlock {
            drug: rows.iter().map(|r| r.0).collect(),
            sample: rows.iter().map(|r| r.1).collect(),
            row: (0..rows.len() as u64).collect(),
            endpoints: vec![rows.iter().map(|r| r.2).collect()],
            dose: rows.iter().map(|r| r.3).collect(),
            labels: Vec::new(),
        };
        d.append(&block).unwrap();
        d.finish().unwrap();
        w.finish().unwrap();
        let pairs = Store::open(&path).unwrap().pairs("A", "auc", 0..rows.len()).unwrap();
        prop_assert_eq!((&pairs.drug, &pairs.sample), (&block.drug, &block.sample));
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&pairs.dose), bits(&block.dose));
        let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
        prop_assert!(pairs.value.iter().zip(&block.endpoints[0]).all(same));
    }
}

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
    let _guard = no_children();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("small.h5");
    let check = |tampering: &dyn Fn(), words: [&str; 2]| {
        write_small(&path).unwrap();
        tampering();
        let error = use_all(&path).unwrap_err().to_string();
        assert!(words.iter().all(|w| error.contains(w)), "{error}");
    };
    check(
        &|| tamper(&path, "datasets/A/drug", &[0u32, 1, 2, 0, 3, 2]),
        ["/datasets/A/drug", "row 4: index 3"],
    );
    check(&|| tamper(&path, "datasets/A/sample", &[0u32; 5]), ["/datasets/A/sample", "5 values for 6 pairs"]);
    check(&|| tamper(&path, "datasets/A/drug", &[0i64; 6]), ["/datasets/A", "not"]);
    check(
        &|| tamper(&path, "datasets/A/endpoint/auc", &[0f32, 1.0, f32::INFINITY, 0.0, 0.0, 0.0]),
        ["/datasets/A/endpoint/auc", "row 2 is inf"],
    );
    check(
        &|| tamper(&path, "datasets/A/dose", &[0f32, 0.0, 0.0, 0.0, 0.0, f32::NAN]),
        ["A/dose", "row 5 is NaN"],
    );
    check(
        &|| tamper(&path, "datasets/A/split/0/test", &[4u32, 6]),
        ["split/0", "part test, position 1: row 6"],
    );
    check(
        &|| tamper(&path, "datasets/A/split/0/val", &[1u32]),
        ["split/0", "row 1 is already in part train"],
    );
    check(&|| tamper(&path, "features/drug/ecfp4/entity", &[2u32, 2]), ["ecfp4/entity", "row 1: drug 2"]);
    check(
        &|| tamper(&path, "datasets/A/label/site/code", &[0u16, 1, 2, 0, 0, 0]),
        ["label/site", "row 2 has code 2"],
    );
    let huge = || {
        let file = hdf5::File::open_rw(&path).unwrap();
        file.unlink("datasets/B/drug").unwrap();
        let shape = hdf5::SimpleExtents::resizable(vec![1usize << 40]);
        file.new_dataset::<u32>().shape(shape).chunk(1024).fletcher32().create("datasets/B/drug").unwrap();
    };
    check(&huge, ["/datasets/B", "only 0 bytes are stored"]);
    check(&|| tamper(&path, "datasets/A/row", &[0u64, 7, 2, 5, 7, 6]), ["A/row", "row 7 of the table"]);
    check(
        &|| tamper(&path, "features/sample/expression/values", &[1f32, f32::NAN, 0.0, 0.0, 0.0, 0.0]),
        ["features/sample/expression", "dimensions"],
    );
    let gap = || {
        let file = hdf5::File::open_rw(&path).unwrap();
        let values = array![[1f32, 0.0, 0.0], [f32::NAN, 0.0, 0.0]];
        file.dataset("features/sample/expression/values").unwrap().write(&values).unwrap();
    };
    check(&gap, ["features/sample/expression", "lacks 1 values, its attribute says 0"]);
    let twins = || {
        let file = hdf5::File::open_rw(&path).unwrap();
        let names = ["column 1"; 3].map(|n| hdf5::types::FixedUnicode::<8>::from_str(n).unwrap());
        file.dataset("features/sample/expression/names").unwrap().write(&names).unwrap();
    };
    check(&twins, ["expression/names", "\"column 1\" is there twice"]);
    let wide = || {
        let file = hdf5::File::open_rw(&path).unwrap();
        let group = file.group("features/drug/ecfp4").unwrap();
        group.attr("columns").unwrap().write_scalar(&(1u64 << 30)).unwrap();
        group.unlink("values").unwrap();
        let shape = hdf5::SimpleExtents::resizable(vec![2usize, 1 << 27]);
        let values = group.new_dataset::<u8>().shape(shape).chunk([1, 1 << 20]).deflate(1).fletcher32();
        values.create("values").unwrap();
    };
    check(&wide, ["features/drug/ecfp4", "stored"]);
    let moved = |to: &str| {
        let file = hdf5::File::open_rw(&path).unwrap();
        let from = file.group("datasets").unwrap();
        from.relink("B", to).unwrap();
    };
    check(&|| moved(&"x".repeat(101)), ["/datasets", "longer than 100 bytes"]);
    check(&|| moved("a..b"), ["/datasets", "two dots"]);
}

/// An enum of one member of 512 bytes. HDF5 takes integers of any size.
fn wide_enum() -> hdf5::Datatype {
    use hdf5_sys::h5t::{H5Tclose, H5Tcopy, H5Tenum_create, H5Tenum_insert, H5Tset_size};
    let plain = hdf5::Datatype::from_type::<u64>().unwrap();
    let _one_at_a_time = hdf5_sys::LOCK.lock();
    // SAFETY: the ids are those of types that are open, the last is given away; the member's
    // value is as long as the type, its name ends in NUL; the lock is held.
    let wide = unsafe {
        let integer = H5Tcopy(plain.id());
        assert!(H5Tset_size(integer, 512) >= 0);
        let id = H5Tenum_create(integer);
        assert!(H5Tenum_insert(id, c"one".as_ptr(), [0x41u8; 512].as_ptr().cast()) >= 0);
        H5Tclose(integer);
        hdf5::from_id(id)
    };
    wide.unwrap()
}

/// Gives an array, or with `attribute` one of the attributes of an object, the type of [`wide_enum`].
fn make_wide(path: &Path, place: &str, attribute: Option<&std::ffi::CStr>) {
    use hdf5_sys::{h5a, h5d, h5o};
    const DEFAULT: i64 = hdf5_sys::h5p::H5P_DEFAULT;
    let file = hdf5::File::open_rw(path).unwrap();
    let (wide, c_place) = (wide_enum(), std::ffi::CString::new(place).unwrap());
    let _one_at_a_time = hdf5_sys::LOCK.lock();
    match attribute {
        None => {
            let (list, space) = {
                let old = file.dataset(place).unwrap();
                (old.create_plist().unwrap(), old.space().unwrap())
            };
            file.unlink(place).unwrap();
            // SAFETY: every id is that of an object kept open above; the lock is held.
            unsafe {
                let (wide, space, list) = (wide.id(), space.id(), list.id());
                let id = h5d::H5Dcreate2(file.id(), c_place.as_ptr(), wide, space, DEFAULT, list, DEFAULT);
                assert!(id >= 0);
                h5d::H5Dclose(id);
            }
        }
        Some(name) => {
            let space = hdf5::Dataspace::try_new(()).unwrap();
            // SAFETY: as above; the object is open as long as its attribute is written.
            unsafe {
                let object = h5o::H5Oopen(file.id(), c_place.as_ptr(), DEFAULT);
                assert!(object >= 0 && h5a::H5Adelete(object, name.as_ptr()) >= 0);
                let (wide, space) = (wide.id(), space.id());
                let id = h5a::H5Acreate2(object, name.as_ptr(), wide, space, DEFAULT, DEFAULT);
                assert!(id >= 0 && h5a::H5Awrite(id, wide, [0x41u8; 512].as_ptr().cast()) >= 0);
                h5a::H5Aclose(id);
                h5o::H5Oclose(object);
            }
        }
    }
}

#[test]
fn types_that_a_store_has_not_are_refused_unread() {
    let _guard = no_children();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("small.h5");
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
        let _ = std::fs::remove_file(&path);
        write_small(&path).unwrap();
        make_wide(&path, place, attribute);
        let error = use_all(&path).unwrap_err();
        assert!(matches!(error, crossrx::Error::Store { .. }), "{error}");
        let error = error.to_string();
        assert!(words.iter().all(|w| error.contains(w)) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn hostile_filters_and_links_are_refused() {
    let _guard = no_children();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("small.h5");
    let refused = |words: [&str; 2]| {
        let error = Store::open(&path).unwrap_err().to_string();
        assert!(words.iter().all(|w| error.contains(w)) && !error.contains('\n'), "{error}");
    };
    // Replaces the array of six drugs by one with these filters.
    let filtered = |add: &dyn Fn(hdf5::DatasetBuilderEmpty) -> hdf5::DatasetBuilderEmpty| {
        write_small(&path).unwrap();
        let file = hdf5::File::open_rw(&path).unwrap();
        file.unlink("datasets/A/drug").unwrap();
        add(file.new_dataset::<u32>()).shape(6).chunk(6).create("datasets/A/drug").unwrap();
    };
    filtered(&|b| b.shuffle().deflate(3));
    refused(["/datasets/A", "no checksums"]);
    filtered(&|b| b.fletcher32().scale_offset(hdf5::filters::ScaleOffset::Integer(0)));
    refused(["/datasets/A", "unknown filter number 6"]);
    // More parameters than the filter has.
    filtered(&|b| b.fletcher32().add_filter(1, &[1; 200]));
    refused(["/datasets/A", "only 0 bytes are stored"]);

    write_small(&path).unwrap();
    let other = dir.path().join("other.h5");
    std::fs::copy(&path, &other).unwrap();
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
        write_small(&path).unwrap();
        damage(&hdf5::File::open_rw(&path).unwrap());
        refused([place, "soft or external link"]);
    }
    // A group that holds itself is walked no deeper than the layout goes.
    write_small(&path).unwrap();
    hdf5::File::open_rw(&path).unwrap().link_hard("/datasets", "datasets/B/again").unwrap();
    assert_eq!(Store::open(&path).unwrap().datasets().len(), 2);
}

#[test]
fn features_may_have_gaps() {
    let _guard = no_children();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gaps.h5");
    let mut w = StoreWriter::create(&path, "test").unwrap();
    w.entities(Entity::Drug, &strings(&["d0", "d1"])).unwrap();
    let table = info(Entity::Drug, "x", Encoding::F32, 2, 2);
    let mut f = w.feature(table, &names(2), &[0, 1]).unwrap();
    f.append(array![[1.0, f32::NAN], [f32::NAN, f32::NAN]].view()).unwrap();
    f.finish().unwrap();
    w.finish().unwrap();
    let store = Store::open(&path).unwrap();
    assert_eq!(verify(&store).unwrap().feature_missing, 3);
    assert_eq!(StoreSummary::of(&store).unwrap().features[0].missing, 3);
    let values = store.feature(Entity::Drug, "x").unwrap().values;
    assert!(values[(0, 0)] == 1.0 && values.iter().filter(|v| v.is_nan()).count() == 3);
}

#[test]
fn nothing_that_is_there_is_replaced_unasked() {
    let _guard = no_children();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("small.h5");
    write_small(&path).unwrap();
    let refused = |writer: crossrx::Result<StoreWriter>| writer.err().unwrap().to_string();
    assert!(refused(StoreWriter::create(&path, "test")).contains("--force"));
    // One that appears while another is written is kept, too.
    let other = dir.path().join("other.h5");
    let w = StoreWriter::create(&other, "test").unwrap();
    std::fs::write(&other, "precious").unwrap();
    assert!(w.finish().unwrap_err().to_string().contains("is there already"));
    assert!(refused(StoreWriter::replace(&other, "test")).contains("is not a store"));
    assert_eq!(std::fs::read(&other).unwrap(), b"precious");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "a draft was left");
}

#[test]
fn two_amendments_do_not_lose_each_other() {
    let _guard = no_children();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("small.h5");
    write_small(&path).unwrap();
    let mut first = StoreWriter::amend(&path, "first").unwrap();
    let second = StoreWriter::amend(&path, "second").err().unwrap().to_string();
    assert!(second.contains("another process is adding to it") && !second.contains('\n'), "{second}");
    first.entities(Entity::Drug, &strings(&["new"])).unwrap();
    first.finish().unwrap();
    assert_eq!(Store::open(&path).unwrap().count(Entity::Drug), 4);
    // Replaced by someone who knows of no lock.
    let late = StoreWriter::amend(&path, "late").unwrap();
    let other = dir.path().join("other.h5");
    write_small(&other).unwrap();
    std::fs::rename(&other, &path).unwrap();
    assert!(late.finish().unwrap_err().to_string().contains("changed by another program"));
    assert_eq!(Store::open(&path).unwrap().count(Entity::Drug), 3);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "a lock or a draft was left");
}

#[cfg(unix)]
#[test]
fn a_store_is_amended_through_a_link() {
    let _guard = no_children();
    let dir = tempfile::tempdir().unwrap();
    let (path, link) = (dir.path().join("sub/small.h5"), dir.path().join("link.h5"));
    write_small(&path).unwrap();
    std::os::unix::fs::symlink("sub/small.h5", &link).unwrap();
    let mut w = StoreWriter::amend(&link, "second").unwrap();
    w.entities(Entity::Drug, &strings(&["new"])).unwrap();
    assert!(StoreWriter::amend(&path, "third").err().unwrap().to_string().contains("another process"));
    w.finish().unwrap();
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(Store::open(&path).unwrap().count(Entity::Drug), 4);
}

#[test]
fn a_long_history_keeps_its_latest_commands() {
    let _guard = no_children();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("small.h5");
    write_small(&path).unwrap();
    for k in 0..3 {
        let command = format!("command {k} {}", "x".repeat(30_000));
        StoreWriter::amend(&path, &command).unwrap().finish().unwrap();
    }
    let history = Store::open(&path).unwrap().provenance().command.clone();
    assert!(history.starts_with("command 1 x") && history.contains("\ncommand 2 x"), "{history:.60}");
    StoreWriter::replace(&path, &"y".repeat(100_000)).unwrap().finish().unwrap();
    assert_eq!(Store::open(&path).unwrap().provenance().command.len(), 1 << 16);
}

#[test]
fn writers_refuse_what_readers_would() {
    let _guard = no_children();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.h5");
    let mut w = StoreWriter::create(&path, "test").unwrap();
    let twice = w.entities(Entity::Drug, &strings(&["d0", "d1", "d0"])).unwrap_err().to_string();
    assert!(twice.contains("\"d0\" is there twice"), "{twice}");
    w.entities(Entity::Drug, &strings(&["d0", "d1"])).unwrap();
    w.entities(Entity::Sample, &strings(&["s0"])).unwrap();
    let mut f = w.feature(info(Entity::Drug, "x", Encoding::F32, 2, 2), &names(2), &[0, 1]).unwrap();
    f.append(array![[1.0, 2.0]].view()).unwrap();
    let infinite = f.append(array![[1.0, f32::INFINITY]].view()).unwrap_err().to_string();
    assert!(infinite.contains("row 1, column 1"), "{infinite}");
    drop(f);
    let left_open = w.finish().unwrap_err().to_string();
    assert!(left_open.contains("/features/drug/x") && left_open.contains("not finished"), "{left_open}");

    let mut w = StoreWriter::create(&path, "test").unwrap();
    w.entities(Entity::Drug, &strings(&["d0"])).unwrap();
    w.entities(Entity::Sample, &strings(&["s0"])).unwrap();
    let mut f = w.feature(info(Entity::Drug, "x", Encoding::Bits, 1, 2), &names(2), &[0]).unwrap();
    let bits = f.append(array![[1.0, 0.5]].view()).unwrap_err().to_string();
    assert!(bits.contains("0.5 is neither 0 nor 1"), "{bits}");
    drop(f);
    drop(w);
    let mut w = StoreWriter::create(&path, "test").unwrap();
    w.entities(Entity::Drug, &strings(&["d0"])).unwrap();
    w.entities(Entity::Sample, &strings(&["s0"])).unwrap();
    let auc = [("auc".to_string(), "1".to_string())];
    assert!(w.dataset("a/b", &auc, false, &[], &[]).is_err());
    let mut d = w.dataset("A", &auc, false, &[], &[]).unwrap();
    let block = |drug, value| PairBlock {
        drug: vec![drug],
        sample: vec![0],
        row: vec![0],
        endpoints: vec![vec![value]],
        ..PairBlock::default()
    };
    assert!(d.append(&block(1, 0.5)).unwrap_err().to_string().contains("row 0: index 1 of 1"));
    assert!(d.append(&block(0, f32::INFINITY)).unwrap_err().to_string().contains("row 0 is inf"));
    d.append(&block(0, 0.5)).unwrap();
    d.finish().unwrap();
    let empty = SplitRows { train: vec![0], val: vec![], test: vec![0] };
    assert!(w.split("A", 0, &empty).unwrap_err().to_string().contains("part val is empty"));
    drop(w);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "an unfinished store left a file");
}

#[test]
fn a_killed_writer_leaves_nothing_under_the_final_name() {
    let _guard = only_children();
    const FOLDER: &str = "CROSSRX_TEST_KILLED_WRITER";
    if let Ok(folder) = std::env::var(FOLDER) {
        // The child: begins a store, says so, and waits to be killed.
        let path = Path::new(&folder).join("killed.h5");
        let mut w = StoreWriter::create(&path, "test").unwrap();
        w.entities(Entity::Drug, &names(1000)).unwrap();
        std::fs::write(Path::new(&folder).join("begun"), "").unwrap();
        std::thread::sleep(std::time::Duration::from_secs(60));
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_writer_leaves_nothing_under_the_final_name"])
        .env(FOLDER, dir.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    for _ in 0..600 {
        if dir.path().join("begun").exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(dir.path().join("begun").exists(), "the child never began");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!dir.path().join("killed.h5").exists());
}

#[test]
fn amending_keeps_indices_and_a_failed_amendment_keeps_the_store() {
    let _guard = no_children();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("small.h5");
    write_small(&path).unwrap();
    let before = std::fs::read(&path).unwrap();
    let mut w = StoreWriter::amend(&path, "second").unwrap();
    assert!(w.entities(Entity::Drug, &strings(&["d1"])).is_err());
    drop(w);
    assert_eq!(std::fs::read(&path).unwrap(), before);
    #[cfg(unix)]
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let mut w = StoreWriter::amend(&path, "second").unwrap();
    w.entities(Entity::Drug, &strings(&["a drug with a longer id than before"])).unwrap();
    assert!(w.dataset("A", &[("auc".into(), "1".into())], false, &[], &[]).is_err());
    w.split("B", 7, &SplitRows { train: vec![0], val: vec![0], test: vec![0] }).unwrap_err();
    w.split("A", 7, &SplitRows { train: vec![5], val: vec![0], test: vec![1] }).unwrap();
    w.finish().unwrap();
    let store = Store::open(&path).unwrap();
    assert_eq!(store.provenance().command, "test\nsecond");
    #[cfg(unix)]
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(
        store.ids(Entity::Drug).unwrap()[1..],
        ["d1", "Prüfstoff", "a drug with a longer id than before"]
    );
    assert_eq!(store.text(Entity::Drug, "smiles").unwrap(), ["CC", "C1CC1", "", ""]);
    assert_eq!(store.dataset("A").unwrap().splits, [0, 7]);
    verify(&store).unwrap();
}

// The interpreter that has h5py, if any: `$CROSSRX_PYTHON`, else `python3`.
#[test]
fn h5py_and_h5dump_read_a_store() {
    let _guard = only_children();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("small.h5");
    write_small(&path).unwrap();
    let python = std::env::var("CROSSRX_PYTHON").unwrap_or_else(|_| "python3".into());
    let run = |code: &str| std::process::Command::new(&python).args(["-c", code]).arg(&path).output();
    if run("import h5py, numpy").is_ok_and(|o| o.status.success()) {
        let script = r#"
import sys, h5py, numpy as np
f = h5py.File(sys.argv[1])
assert f.attrs['format'].decode() == 'crossrx store' and f.attrs['schema_version'] == 1
assert f['drugs/id'].asstr()[()].tolist() == ['d0', 'd1', 'Prüfstoff']
t = f['features/drug/ecfp4']
bits = np.unpackbits(t['values'][()], axis=1, bitorder='little')[:, :t.attrs['columns']]
assert bits[0].tolist() == [1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0] and bits[1].sum() == 1
a = f['datasets/A']
assert a['endpoint/ic50'][()].tolist() == [1, 2, 3, 1, 2, 6] and a['endpoint/ic50'].attrs['units'].decode() == 'log10 M'
assert np.isnan(a['endpoint/auc'][2]) and a['drug'].dtype == 'uint32' and a['row'].dtype == 'uint64'
assert a['label/site/value'].asstr()[()][a['label/site/code'][()]].tolist()[:2] == ['lung', 'skin']
assert [c.decode() for c in a.attrs['columns']] == ['source', 'auc', 'ic50']
assert a['drug'].compression == 'gzip' and a['drug'].shuffle and a['drug'].fletcher32
assert f['truth/best_r2'][0, 1] == 0.5
"#;
        let out = run(script).unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    } else {
        println!("skipped: {python} cannot import h5py (set CROSSRX_PYTHON to one that can)");
    }
    match std::process::Command::new("h5dump").args(["-d", "/datasets/A/endpoint/ic50"]).arg(&path).output() {
        Ok(out) => {
            let text = String::from_utf8_lossy(&out.stdout).into_owned();
            assert!(text.contains("H5T_IEEE_F32LE") && text.contains("1, 2, 3, 1, 2, 6"), "{text}");
        }
        Err(_) => println!("skipped: h5dump is not installed"),
    }
}
