//! What every driver does alike: on the host, and on a device where `CROSSRX_TEST_GPU` names one.

use super::*;

const PUT: Kernel = Kernel::new("add", "put");

/// Adds eight times `eights` numbers of `from` to those of `to`.
fn add(stream: &Stream, to: &Memory, from: &Memory, eights: usize) -> crate::Result<()> {
    let arguments = [to.at().into(), from.at().into(), eights.into(), true.into()];
    stream.launch_over(PUT, Storage::F32, eights, &arguments)
}

fn floats(memory: &Memory, count: usize) -> Vec<f32> {
    let mut values = vec![0.0; count];
    memory.download(0, &mut values).unwrap();
    values
}

#[test]
fn uploads_small_and_large_arrive_though_their_source_changes_at_once() {
    let stream = HostDriver::stream();
    // More small ones than are put aside at a time, and sizes about the largest of those.
    let rounds = 150;
    let memory = stream.zeros(rounds * 64).unwrap();
    let mut source = [0u32; 16];
    for round in 0..rounds as u32 {
        source.fill(round);
        memory.upload(round as usize * 64, &source).unwrap();
    }
    source.fill(u32::MAX);
    let mut got = vec![0u32; rounds * 16];
    memory.download(0, &mut got).unwrap();
    assert!(got.iter().enumerate().all(|(i, &value)| value as usize == i / 16));
    for bytes in [0, 1, (16 << 10) - 1, 16 << 10, (16 << 10) + 1, 3 << 20] {
        let values: Vec<u8> = (0..bytes).map(|i| (i * 7 % 251) as u8).collect();
        let held = stream.holding(&values).unwrap();
        let mut got = vec![0; bytes];
        held.download(0, &mut got).unwrap();
        assert_eq!(got, values);
    }
}

#[test]
fn memory_is_zero_at_first_and_copies_and_zeros_keep_to_their_ranges() {
    let stream = HostDriver::stream();
    let memory = stream.zeros(1000).unwrap();
    assert!(floats(&memory, 250).iter().all(|&v| v == 0.0));
    assert_eq!(memory.at().0 % 16, 0);
    let ones = stream.holding(&[1.0f32; 250]).unwrap();
    stream.copy(memory.at().offset(40), ones.at(), 80).unwrap();
    stream.zero(memory.at().offset(60), 4).unwrap();
    stream.copy(memory.at(), ones.at(), 0).unwrap();
    stream.zero(memory.at(), 0).unwrap();
    let expected: Vec<f32> =
        (0..250).map(|i| if (10..30).contains(&i) && i != 15 { 1.0 } else { 0.0 }).collect();
    assert_eq!(floats(&memory, 250), expected);
}

#[test]
fn what_is_recorded_is_done_when_replayed_and_not_before() {
    let stream = HostDriver::stream();
    let [sum, ones, other] = [0.0f32, 1.0, 0.0].map(|value| stream.holding(&[value; 64]).unwrap());
    let spare = stream.zeros(512).unwrap();
    let old = stream.record(|| stream.zero(other.at(), 8)).unwrap();
    let recording = stream
        .record(|| {
            add(&stream, &sum, &ones, 8)?;
            // Memory and recordings may be given back meanwhile, though a device cannot be waited for now.
            drop(spare);
            drop(old);
            stream.copy(other.at(), sum.at(), 256)
        })
        .unwrap();
    assert_eq!(floats(&sum, 64), [0.0; 64]);
    for round in 1..4 {
        recording.replay().unwrap();
        // What changes from one replay to the next changes in memory.
        ones.upload(0, &[round as f32 + 1.0; 64]).unwrap();
    }
    assert_eq!(floats(&sum, 64), [6.0; 64]);
    assert_eq!(floats(&other, 64), [6.0; 64]);
    let second = stream.record(|| stream.zero(sum.at(), 256)).unwrap();
    second.replay().unwrap();
    recording.replay().unwrap();
    assert_eq!(floats(&sum, 64), [4.0; 64]);
}

#[test]
fn a_failed_recording_leaves_a_stream_that_works() {
    let stream = HostDriver::stream();
    let [sum, ones] = [0.0f32, 1.0].map(|value| stream.holding(&[value; 8]).unwrap());
    let failed = stream.record(|| {
        add(&stream, &sum, &ones, 1)?;
        Err(crate::Error::Device("on purpose".into()))
    });
    assert!(failed.unwrap_err().to_string().contains("on purpose"));
    add(&stream, &sum, &ones, 1).unwrap();
    assert_eq!(floats(&sum, 8), [1.0; 8]);
}

#[test]
fn what_no_kernel_takes_is_an_error() {
    let stream = HostDriver::stream();
    let memory = stream.zeros(64).unwrap();
    let launch = |kernel, block: usize, arguments: &[Argument]| {
        stream.launch(kernel, Storage::F32, [1, 1], [block, 1], arguments).unwrap_err().to_string()
    };
    let [at, n] = [Argument::from(memory.at()), Argument::from(1usize)];
    for arguments in [&[at, at, n][..], &[at, at, n, n, n], &[at, n, at, n], &[at, at, n, Argument::F32(1.0)]]
    {
        let why = launch(PUT, 32, arguments);
        assert!(why.contains("put of add.cu") && why.contains("arguments"), "{why}");
    }
    assert!(launch(PUT, 1025, &[at, at, n, n]).contains("put of add.cu"));
    assert!(launch(Kernel::new("add", "nothing"), 32, &[]).contains("nothing of add.cu"));
    let why = stream.zeros(1 << 60).unwrap_err().to_string();
    assert!(why.contains(&(1u64 << 60).to_string()), "{why}");
}

/// A number that is a bfloat16 too.
fn value(i: usize) -> f32 {
    (i * 29 % 17) as f32 * 0.25 - 2.0
}

fn bits(value: f32) -> u16 {
    (value.to_bits() >> 16) as u16
}

#[test]
fn products_of_all_kinds_are_what_they_should_be() {
    let stream = HostDriver::stream();
    let hold = |values: &[f32], storage| match storage {
        Storage::F32 => stream.holding(values).unwrap(),
        Storage::Bf16 => stream.holding(&values.iter().map(|&v| bits(v)).collect::<Vec<_>>()).unwrap(),
    };
    let kinds = [
        (Precision::Fp32, Storage::F32, Storage::F32),
        (Precision::Tf32, Storage::F32, Storage::F32),
        (Precision::Bf16, Storage::Bf16, Storage::Bf16),
        (Precision::Bf16, Storage::Bf16, Storage::F32),
    ];
    let (m, n, k) = (24, 16, 40);
    for (precision, factors, storage) in kinds {
        for form in 0..16usize {
            let [a_transposed, b_transposed, accumulate, with_bias] = [1, 2, 4, 8].map(|bit| form & bit != 0);
            let matrix = |memory: &Memory, [rows, columns]: [usize; 2], storage, transposed| {
                let [rows, columns] = if transposed { [columns, rows] } else { [rows, columns] };
                CudaMatrix { at: memory.at(), rows, columns, stride: columns + 8, storage, transposed }
            };
            let lengths = [(m, k, a_transposed), (k, n, b_transposed), (m, n, false)]
                .map(|(rows, columns, t)| if t { columns * (rows + 8) } else { rows * (columns + 8) });
            let values = |seed: usize, length| (0..length).map(|i| value(i + seed)).collect::<Vec<f32>>();
            let (a, b, d) = (values(1, lengths[0]), values(2, lengths[1]), values(3, lengths[2]));
            let bias = values(4, n);
            let memory = [hold(&a, factors), hold(&b, factors), hold(&d, storage), hold(&bias, storage)];
            let product = CudaProduct {
                a: matrix(&memory[0], [m, k], factors, a_transposed),
                b: matrix(&memory[1], [k, n], factors, b_transposed),
                d: matrix(&memory[2], [m, n], storage, false),
                accumulate,
                bias: (with_bias && !accumulate).then_some(memory[3].at()),
                relu: with_bias && !accumulate,
                precision,
            };
            // Twice: found, and found again. What is added to is as it was.
            for _ in 0..2 {
                stream.copy(product.d.at, hold(&d, storage).at(), d.len() * storage.bytes()).unwrap();
                stream.product(&product).unwrap();
            }
            let got: Vec<f32> = match storage {
                Storage::F32 => floats(&memory[2], d.len()),
                Storage::Bf16 => {
                    let mut got = vec![0u16; d.len()];
                    memory[2].download(0, &mut got).unwrap();
                    got.iter().map(|&bits| f32::from_bits(u32::from(bits) << 16)).collect()
                }
            };
            for row in 0..m {
                for column in 0..n {
                    let term = |l: usize| {
                        let a = if a_transposed { a[l * (m + 8) + row] } else { a[row * (k + 8) + l] };
                        a * if b_transposed { b[column * (k + 8) + l] } else { b[l * (n + 8) + column] }
                    };
                    let at = row * (n + 8) + column;
                    let mut expected: f32 = (0..k).map(term).sum();
                    expected += if accumulate { d[at] } else { 0.0 };
                    if product.relu {
                        expected = (expected + bias[column]).max(0.0);
                    }
                    let close =
                        expected.abs() * if storage == Storage::Bf16 { 1.0 / 128.0 } else { 1e-6 } + 1e-5;
                    assert!(
                        (got[at] - expected).abs() <= close,
                        "{product:?}: {} is not {expected}",
                        got[at]
                    );
                }
                let behind = row * (n + 8) + n;
                assert_eq!(
                    got[behind..behind + 8],
                    d[behind..behind + 8],
                    "{product:?}: numbers behind a row"
                );
            }
        }
    }
}

#[test]
fn what_goes_aside_is_done_by_the_time_of_the_join() {
    let stream = HostDriver::stream();
    let [sum, ones, beside] = [0.0f32, 1.0, 0.0].map(|value| stream.holding(&[value; 64]).unwrap());
    let work = || {
        add(&stream, &sum, &ones, 8)?;
        stream.aside(|| add(&stream, &beside, &sum, 8))?;
        stream.join()?;
        add(&stream, &sum, &beside, 8)
    };
    work().unwrap();
    assert_eq!(floats(&sum, 64), [2.0; 64]);
    let recording = stream.record(work).unwrap();
    recording.replay().unwrap();
    assert_eq!(floats(&beside, 64), [4.0; 64]);
    assert_eq!(floats(&sum, 64), [7.0; 64]);
}

/// One past the end: of 64 numbers, eight threads take eight each, and one more takes the next.
#[test]
fn a_kernel_that_reaches_past_its_memory_dies_and_is_named() {
    const REACH: &str = "CROSSRX_TEST_REACH";
    if std::env::var_os(REACH).is_some() {
        let stream = HostDriver::stream();
        let [a, b] = [0.0f32, 1.0].map(|value| stream.holding(&[value; 64]).unwrap());
        add(&stream, &a, &b, 8).unwrap();
        add(&stream, &a, &b, 9).unwrap();
        return;
    }
    let name = std::thread::current().name().unwrap().to_string();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture"])
        .env(REACH, "yes")
        .env_remove("CROSSRX_TEST_GPU")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{told}");
    assert!(told.contains("kernel on host: put of add.cu reads or writes outside all memory"), "{told}");
}
