//! Arrays of many chunks: the same for any number of threads, read alike by HDF5
//! and here, and refused where a chunk is damaged, bare or missing.

use crate::raw::write_chunk;
use crate::small::{content, info, names};
use crossrx::store::{Encoding, Entity, PairBlock, Store, StoreWriter, verify};
use ndarray::Array2;
use std::path::Path;

const DRUGS: usize = 900;
const COLUMNS: usize = 700;
const PAIRS: usize = 200_000;

/// Something that does not deflate.
fn noise(place: usize) -> f32 {
    let word = (place as u32).wrapping_mul(0x9E37_79B9) ^ (place as u32 >> 5).wrapping_mul(0x85EB_CA6B);
    word as f32 / 3.0
}

/// A store of several chunks an array, handed over in blocks of `rows` pairs.
pub fn write_large(path: &Path, rows: usize) {
    let mut w = StoreWriter::replace(path, "test").unwrap();
    let ids: Vec<String> = (0..DRUGS).map(|i| format!("d{i}")).collect();
    w.entities(Entity::Drug, &ids).unwrap();
    w.entities(Entity::Sample, &ids[..3]).unwrap();
    let all: Vec<u32> = (0..DRUGS as u32).collect();
    type Value = fn(usize) -> f32;
    let tables: [(&str, Encoding, Value); 3] = [
        ("noisy", Encoding::F32, noise),
        ("sparse", Encoding::F32, |at| if at % 50 == 0 { f32::NAN } else { 1.0 }),
        ("bits", Encoding::Bits, |at| f32::from(at % 3 == 0)),
    ];
    for (name, encoding, value) in tables {
        let table = info(Entity::Drug, name, encoding, DRUGS, COLUMNS);
        let mut f = w.feature(table, &names(COLUMNS), &all).unwrap();
        let values = Array2::from_shape_fn((DRUGS, COLUMNS), |(r, c)| value(r * COLUMNS + c));
        for block in values.axis_chunks_iter(ndarray::Axis(0), (rows / COLUMNS).max(1)) {
            f.append(block).unwrap();
        }
        f.finish().unwrap();
    }
    let mut d = w.dataset("A", &[("auc".into(), "1".into())], true, &["site".into()], &[]).unwrap();
    for start in (0..PAIRS).step_by(rows) {
        let here = start..PAIRS.min(start + rows);
        d.append(&PairBlock {
            drug: here.clone().map(|i| (i / 300) as u32 % DRUGS as u32).collect(),
            sample: here.clone().map(|i| i as u32 % 3).collect(),
            row: here.clone().map(|i| 2 * i as u64).collect(),
            dose: here.clone().map(|i| -((i % 7) as f32)).collect(),
            endpoints: vec![here.clone().map(noise).collect()],
            labels: vec![here.map(|i| (i % 2) as u16).collect()],
        })
        .unwrap();
    }
    d.label_values("site", &names(2)).unwrap();
    d.finish().unwrap();
    w.finish().unwrap();
}

const ARRAYS: [&str; 9] = [
    "features/drug/noisy/values",
    "features/drug/sparse/values",
    "features/drug/bits/values",
    "datasets/A/drug",
    "datasets/A/sample",
    "datasets/A/row",
    "datasets/A/dose",
    "datasets/A/endpoint/auc",
    "datasets/A/label/site/code",
];

/// Offset, filters passed by, and bytes of every chunk.
fn chunks(path: &Path, place: &str) -> Vec<(Vec<u64>, u32, Vec<u8>)> {
    let bytes = std::fs::read(path).unwrap();
    let file = hdf5::File::open(path).unwrap();
    let array = file.dataset(place).unwrap();
    let chunk = |i| {
        let chunk = array.chunk_info(i).unwrap();
        let at = chunk.addr as usize;
        (chunk.offset, chunk.filter_mask, bytes[at..at + chunk.size as usize].to_vec())
    };
    (0..array.num_chunks().unwrap()).map(chunk).collect()
}

#[test]
fn chunks_are_the_same_for_any_number_of_threads_and_any_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let written = |threads: usize, rows: usize| {
        let path = dir.path().join(format!("{threads}-{rows}.h5"));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| write_large(&path, rows));
        path
    };
    let one = written(1, 65_536);
    for other in [written(3, 65_536), written(2, 10_007), written(3, PAIRS)] {
        for place in ARRAYS {
            let chunks = [chunks(&one, place), chunks(&other, place)];
            assert!(chunks[0].len() > 1 || place.contains("bits"), "{place} has one chunk");
            assert!(chunks[0] == chunks[1], "{place} differs in {}", other.display());
        }
        let read = |threads: usize, path: &Path| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            // The first line tells when the store was made.
            pool.install(|| content(path)).split_off(1)
        };
        assert!(read(1, &one) == read(3, &other));
    }
    let passed_by = |place: &str| chunks(&one, place).iter().map(|c| c.1).collect::<Vec<_>>();
    assert_eq!(passed_by("datasets/A/drug"), [0; 4]);
    // Noise is kept as it is, but for what is filled up with zeros.
    assert_eq!(passed_by("datasets/A/endpoint/auc"), [0b011, 0b011, 0b011, 0]);
}

#[test]
fn hdf5_itself_reads_what_is_written_and_the_other_way_round() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large.h5");
    write_large(&path, 50_000);
    let expected = content(&path);
    let file = hdf5::File::open_rw(&path).unwrap();
    let noisy = file.dataset("features/drug/noisy/values").unwrap().read_2d::<f32>().unwrap();
    assert!(noisy.indexed_iter().all(|((r, c), &v)| v == noise(r * COLUMNS + c)));
    let rows = file.dataset("datasets/A/row").unwrap().read_1d::<u64>().unwrap();
    assert!(rows.iter().enumerate().all(|(i, &row)| row == 2 * i as u64) && rows.len() == PAIRS);

    // As HDF5's own filters write it, in chunks that neither rows nor columns fill, and in another order.
    type Filters = fn(hdf5::DatasetBuilderEmpty) -> hdf5::DatasetBuilderEmpty;
    let filters: [Filters; 4] = [
        |b| b.shuffle().deflate(6).fletcher32(),
        |b| b.fletcher32().shuffle().deflate(1),
        |b| b.deflate(2).fletcher32(),
        |b| b.fletcher32(),
    ];
    for filter in filters {
        for (place, chunk) in [("noisy", [17, 300]), ("sparse", [901, 64])] {
            let place = format!("features/drug/{place}/values");
            let values = file.dataset(&place).unwrap().read_2d::<f32>().unwrap();
            file.unlink(&place).unwrap();
            let extents = hdf5::SimpleExtents::resizable([DRUGS, COLUMNS]);
            let array = filter(file.new_dataset::<f32>()).shape(extents).chunk(chunk);
            array.create(place.as_str()).unwrap().write(&values).unwrap();
        }
        let auc = file.dataset("datasets/A/endpoint/auc").unwrap();
        let values = auc.read_1d::<f32>().unwrap();
        file.unlink("datasets/A/endpoint/auc").unwrap();
        let array = filter(file.new_dataset::<f32>()).shape([PAIRS]).chunk(30_011);
        let auc = array.create("datasets/A/endpoint/auc").unwrap();
        auc.write(&values).unwrap();
        let units = auc.new_attr::<hdf5::types::FixedUnicode<8>>().create("units").unwrap();
        units.write_scalar(&"1".parse::<hdf5::types::FixedUnicode<8>>().unwrap()).unwrap();
        file.flush().unwrap();
        assert!(content(&path) == expected);
        assert_eq!(verify(&Store::open(&path).unwrap()).unwrap().pairs, PAIRS as u64);
    }
}

#[test]
fn a_damaged_a_bare_and_a_missing_chunk_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large.h5");
    write_large(&path, 50_000);
    let sound = std::fs::read(&path).unwrap();
    let refused = |place: &str, words: &str| {
        let store = Store::open(&path).unwrap();
        let error = verify(&store).unwrap_err().to_string();
        assert!(error.contains(place) && error.contains(words) && !error.contains('\n'), "{error}");
    };
    for place in ["features/drug/noisy/values", "datasets/A/row", "datasets/A/endpoint/auc"] {
        let chunk = {
            let file = hdf5::File::open(&path).unwrap();
            file.dataset(place).unwrap().chunk_info(1).unwrap()
        };
        let mut bytes = sound.clone();
        bytes[(chunk.addr + chunk.size / 2) as usize] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        refused(place, "checksum (fletcher32) does not fit");
        std::fs::write(&path, &sound).unwrap();
    }
    write_chunk(&path, "datasets/A/drug", 65_536, 0b111, &vec![0; 4 * 65_536]);
    refused("datasets/A/drug", "no checksum");
    std::fs::write(&path, &sound).unwrap();
    write_chunk(&path, "datasets/A/drug", 65_536, 0b011, &vec![0; 4 * 65_536]);
    refused("datasets/A/drug", "a chunk has 262140 bytes");
    write_chunk(&path, "datasets/A/drug", 65_536, 0b011, &vec![0; 1 << 20]);
    refused("datasets/A/drug", "has 1048576 bytes");

    std::fs::write(&path, &sound).unwrap();
    let file = hdf5::File::open_rw(&path).unwrap();
    let place = "features/drug/noisy/values";
    file.unlink(place).unwrap();
    let chunked = file.new_dataset::<f32>().shape([DRUGS, COLUMNS]).chunk([100, COLUMNS]).fletcher32();
    let array = chunked.create(place).unwrap();
    array.write_slice(&Array2::<f32>::ones((300, COLUMNS)), ndarray::s![..300, ..]).unwrap();
    file.close().unwrap();
    // Of the chunks from row 300 on, the threads may meet any first.
    refused(place, "00, 0] is not there");
}
