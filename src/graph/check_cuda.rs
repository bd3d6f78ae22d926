//! Kernels of a CUDA device, run on the host, held against those of the CPU.

use super::check::{fill, value};
use super::*;
use crate::device::cuda::{HostDriver, Memory, Precision, Storage, Stream};
use crate::op::{CudaBits, CudaMap, CudaPass, CudaRows, CudaSegments, Rows, Segments, Step};
use std::sync::Arc;

/// Rows on a device, with the memory that holds them.
pub struct Uploaded {
    pub rows: CudaRows,
    _memory: Vec<Memory>,
}

/// Rows that a device adds to each space beyond those in use.
const PADDING: usize = 3;

/// Lays `rows` out on a device, padded.
pub fn upload(stream: &Stream, graph: &Graph, rows: &Rows) -> Uploaded {
    let mut memory = Vec::new();
    let mut hold = |values: &[u32]| {
        let held = stream.holding(values).unwrap();
        let at = held.at();
        memory.push(held);
        at
    };
    let padded: Vec<usize> = rows.count.iter().map(|n| n + PADDING).collect();
    let pad = |list: &[u32], length: usize, with: u32| -> Vec<u32> {
        list.iter().copied().chain(std::iter::repeat(with)).take(length).collect()
    };
    let segments = |lists: &Segments, padded: usize, hold: &mut dyn FnMut(&[u32]) -> _| {
        let start = pad(&lists.start, padded + 1, lists.order.len() as u32);
        CudaSegments { start: hold(&start), order: hold(&lists.order) }
    };
    let number = rows.number.iter().zip(&padded).map(|(list, &n)| Some(hold(&pad(list, n, 0)))).collect();
    let maps = rows.maps.iter().zip(graph.maps()).map(|(map, ends)| {
        let index = hold(&pad(&map.index, padded[ends.from.0], 0));
        Some(CudaMap { index, segments: segments(&map.segments, padded[ends.to.0], &mut hold) })
    });
    let maps = maps.collect();
    let bits = rows.bits.iter().zip(graph.bit_tables()).map(|(table, ends)| {
        // The table is the batch itself, behind one entity that no row of the batch is.
        let n = rows.count[ends.space.0];
        let mut ones = Segments::default();
        ones.clear();
        ones.push(&[0]);
        (0..n).for_each(|row| ones.push(table.ones.of(row)));
        let mut by_column = Segments::default();
        by_column.clear();
        for column in 0..ends.columns {
            let mut list: Vec<u32> = if column == 0 { vec![0] } else { vec![] };
            list.extend(table.by_column.of(column).iter().map(|row| row + 1));
            by_column.push(&list);
        }
        let entity: Vec<u32> = (1..=n as u32).collect();
        let row: Vec<u32> = std::iter::once(u32::MAX).chain(0..n as u32).collect();
        Some(CudaBits {
            ones: segments(&ones, n + 1, &mut hold),
            by_column: segments(&by_column, ends.columns, &mut hold),
            entity: hold(&pad(&entity, padded[ends.space.0], 0)),
            row: hold(&row),
        })
    });
    let bits = bits.collect();
    Uploaded { rows: CudaRows { count: padded, number, maps, bits }, _memory: memory }
}

/// The values in use of a tensor, in single precision.
pub fn download(stream: &Stream, tensor: crate::op::Tensor, rows: usize) -> Vec<f32> {
    let all = stream.zeros(tensor.length() * tensor.storage.bytes()).unwrap();
    stream.copy(all.at(), tensor.at, all.bytes().min(tensor.length() * tensor.storage.bytes())).unwrap();
    let wide: Vec<f32> = match tensor.storage {
        Storage::F32 => {
            let mut values = vec![0.0; tensor.length()];
            all.download(0, &mut values).unwrap();
            values
        }
        Storage::Bf16 => {
            let mut bits = vec![0u16; tensor.length()];
            all.download(0, &mut bits).unwrap();
            bits.iter().map(|&b| f32::from_bits(u32::from(b) << 16)).collect()
        }
    };
    let stride = tensor.stride();
    (0..rows).flat_map(|row| wide[row * stride..][..tensor.columns].to_vec()).collect()
}

/// Feeds a tensor on the device, what is beyond its values left as it is.
pub fn feed(stream: &Stream, tensor: crate::op::Tensor, values: &[f32]) {
    let (stride, columns) = (tensor.stride(), tensor.columns);
    let mut all = vec![0.0f32; tensor.length()];
    for (row, values) in values.chunks_exact(columns).enumerate() {
        all[row * stride..][..columns].copy_from_slice(values);
    }
    let held = match tensor.storage {
        Storage::F32 => stream.holding(&all).unwrap(),
        Storage::Bf16 => {
            let bits = all.iter().map(|v| ((v.to_bits() + 0x8000) >> 16) as u16);
            stream.holding(&bits.collect::<Vec<_>>()).unwrap()
        }
    };
    stream.copy(tensor.at, held.at(), tensor.length() * tensor.storage.bytes()).unwrap();
}

/// How far values may be apart, as a part of the largest of them.
fn tolerance(precision: Precision) -> f32 {
    if precision == Precision::Bf16 { 0.04 } else { 2e-5 }
}

/// Nodes of the largest graph that is about one op.
const ONE_OP: usize = 16;

fn assert_close(what: &str, precision: Precision, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-3f32, |most, v| most.max(v.abs()));
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        let close = (g - e).abs() <= tolerance(precision) * largest;
        assert!(
            close,
            "{what} at {i}, {precision:?}: {g} on the device, {e} on the CPU, of at most {largest}"
        );
    }
}

/// Distance of two gradients as a part of the length of one: what is stored with 8 bits of mantissa is rounded by
/// every op, and a single parameter's gradient may be a small difference of such values.
fn assert_near(got: &[f32], expected: &[f32]) {
    let length = |of: &mut dyn Iterator<Item = f32>| of.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt();
    let apart = length(&mut got.iter().zip(expected).map(|(g, e)| g - e));
    let whole = length(&mut expected.iter().copied());
    assert!(apart <= 0.05 * whole, "gradients of length {whole} are {apart} apart");
}

/// Holds output and gradients of the device's kernels against those of the CPU.
pub fn check_cuda(graph: &Arc<Graph>, loss: NodeId, fed: &[NodeId], capacity: &[usize], rows: &[usize]) {
    let step = Step { seed: 3, number: 11 };
    let scale = 0.7;
    let mut parameters = Parameters::<f32>::start(graph, 1).unwrap();
    // What is fed and learnt is exact in bfloat16: that differs by what it rounds on the way alone.
    let rounded = |v: f32| f32::from_bits((v.to_bits() + 0x8000) & 0xffff_0000);
    let learnt = parameters.values_mut().iter_mut().enumerate();
    learnt.for_each(|(i, v)| *v = rounded(*v + 0.3 * value(i + 91) as f32));
    let mut cpu = CpuPlan::<f32>::new(graph.clone(), Purpose::Train, loss, &[], capacity).unwrap();
    fill(&mut cpu, graph, fed, rows);
    for &input in fed {
        if let Some((values, _)) = cpu.input_mut(input) {
            values.iter_mut().for_each(|v| *v = rounded(*v));
        }
    }
    let mut expected = cpu.gradients().unwrap();
    cpu.forward(&parameters, step);
    let output = cpu.output().to_vec();
    cpu.backward(&parameters, &mut expected, scale, step, &mut |_, _| ());

    let stream = HostDriver::stream();
    let padded: Vec<usize> = capacity.iter().map(|n| n + PADDING).collect();
    for precision in [Precision::Fp32, Precision::Bf16] {
        let plan =
            CudaPlan::new(graph.clone(), Purpose::Train, loss, &[], &padded, &stream, precision).unwrap();
        // Whatever buffers held before must not matter.
        plan.spoil();
        let uploaded = upload(&stream, graph, cpu.rows());
        for &input in fed {
            let (space, columns) = (graph.shape(input).space, graph.shape(input).columns);
            if let Some(tensor) = plan.input(input, uploaded.rows.of(space)) {
                let values: Vec<f32> = match cpu.input_mut(input) {
                    Some((values, _)) => values[..rows[space.0] * columns].to_vec(),
                    None => vec![],
                };
                feed(&stream, tensor, &values);
            }
        }
        let layout = CudaLayout::new(graph).unwrap();
        let on_device = CudaParameters::zeros(&stream, layout.clone(), precision).unwrap();
        on_device.upload(&parameters).unwrap();
        let gradients = CudaGradients::zeros(&stream, layout).unwrap();
        let pairs = rows[graph.shape(loss).space.0] as u32;
        let pass = CudaPass { seed: step.seed, step: step.number, scale, pairs, ..CudaPass::default() };
        let pass = stream.holding(&[pass]).unwrap();
        // Recorded, then twice replayed: what a pass leaves behind must not matter to the next.
        let recording = stream.record(|| {
            plan.forward(&on_device, &uploaded.rows, pass.at())?;
            plan.backward(&on_device, &gradients, &uploaded.rows, pass.at(), &mut |_| Ok(()))
        });
        let recording = recording.unwrap();
        for _ in 0..2 {
            recording.replay().unwrap();
            let got = download(&stream, plan.output(&uploaded.rows), pairs as usize);
            assert_close("output", precision, &got, &output);
            let mut got = cpu.gradients().unwrap();
            gradients.download(&mut got).unwrap();
            if precision == Precision::Bf16 && graph.len() > ONE_OP {
                let all = |gradients: &Gradients<f32>| -> Vec<f32> {
                    (0..parameters.layout().len()).flat_map(|number| gradients.of(number).to_vec()).collect()
                };
                assert_near(&all(&got), &all(&expected));
                continue;
            }
            for (number, parameter) in parameters.layout().iter().enumerate() {
                assert_close(&parameter.name, precision, got.of(number), expected.of(number));
            }
        }
    }
}
