//! What happens to gradients on a device, its kernels run on the host, held against the CPU.

use super::update::CudaUpdate;
use crate::device::cuda::{Argument, HostDriver, Kernel, Memory, Precision, Recorded, Storage, Stream};
use crate::device::sum;
use crate::graph::{CudaGradients, CudaLayout, CudaParameters, Gradients, Graph, Parameters};
use crate::op::{Activation, CudaPass, EIGHT, LayerNorm, Linear, Rule, Tensor};
use crate::train::optimizer::Optimizer;
use crate::train::{Asks, OptimizerKind, TrainSpec};

/// Lanes of this rank.
const LANES: usize = 3;
/// Pairs of a lane's step, and rows with padding.
const PAIRS: usize = 21;
const ROWS: usize = 24;

/// A network whose rows do not fill eights, with parameters that do not decay, and some that move at a rate
/// of their own. `wide` ones have
/// gradients that several blocks square.
fn graph(wide: usize) -> Graph {
    let mut graph = Graph::new();
    let space = graph.space("pairs");
    let x = graph.input(space, 3);
    let x = graph.add("l", Linear::new(3, wide, Activation::Relu), &[x]).unwrap();
    let x = graph.add("n", LayerNorm, &[x]).unwrap();
    let x = graph.add("m", Linear::new(wide, 77, Activation::Identity), &[x]).unwrap();
    graph.add("o", Linear::new(77, 1, Activation::Identity), &[x]).unwrap();
    graph.set_rule("m.bias", Rule::Descent { rate: 0.05 });
    graph.set_rule("o.weight", Rule::Descent { rate: 0.3 });
    graph
}

/// A training on a device and what it is fed.
struct Device {
    update: CudaUpdate,
    parameters: CudaParameters,
    gradients: CudaGradients,
    losses: Vec<(Memory, Tensor)>,
    pass: Memory,
    step: Recorded,
}

impl Device {
    fn new(graph: &Graph, spec: &TrainSpec, precision: Precision) -> Self {
        let stream = HostDriver::stream();
        let layout = CudaLayout::new(graph).unwrap();
        let update = CudaUpdate::new(&stream, spec, layout.clone(), precision, LANES).unwrap();
        let parameters = CudaParameters::zeros(&stream, layout.clone(), precision).unwrap();
        parameters.upload(&Parameters::start(graph, 4).unwrap()).unwrap();
        let gradients = CudaGradients::zeros(&stream, layout).unwrap();
        let losses: Vec<_> = (0..LANES).map(|_| column(&stream, &[0.0; ROWS])).collect();
        let pass = stream.holding(&[CudaPass::default()]).unwrap();
        let step = stream.record(|| {
            let mut lanes = losses.iter().enumerate();
            lanes.try_for_each(|(lane, (_, losses))| update.loss(*losses, lane, pass.at()))?;
            update.words(&gradients)?;
            update.step(&parameters, &gradients, pass.at())
        });
        Self { step: step.unwrap(), update, parameters, gradients, losses, pass }
    }

    /// Takes a step along a gradient laid out as on the host.
    fn step(&self, gradient: &[f32], number: u64, rate: f64) {
        self.gradients.memory().upload(0, &self.gradients.layout().spread(gradient)).unwrap();
        let pass =
            CudaPass { step: number, rate, pairs: PAIRS as u32, total_pairs: 100, ..CudaPass::default() };
        self.pass.upload(0, &[pass]).unwrap();
        self.step.replay().unwrap();
    }

    fn set_losses(&self, lane: usize, losses: &[f32]) {
        self.losses[lane].0.upload(0, &eights(losses)).unwrap();
    }

    fn parameters(&self, graph: &Graph) -> Parameters<f32> {
        let mut host = Parameters::zeros(graph).unwrap();
        self.parameters.download(&mut host).unwrap();
        host
    }

    /// All that training changes.
    fn bits(&self, graph: &Graph) -> Vec<u32> {
        let parameters = self.parameters(graph);
        let memory = self.update.memory(&parameters).unwrap();
        let values = std::iter::once(&parameters).chain(&memory).flat_map(|p| p.values());
        let values: Vec<u32> = values.map(|v| v.to_bits()).collect();
        values.into_iter().chain(self.copy().into_iter().map(u32::from)).collect()
    }

    fn master(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.parameters.layout().length()];
        self.parameters.master().download(0, &mut values).unwrap();
        values
    }

    fn copy(&self) -> Vec<u16> {
        let Some(copy) = self.parameters.copy() else { return vec![] };
        let mut values = vec![0; self.parameters.layout().length()];
        copy.download(0, &mut values).unwrap();
        values
    }
}

/// Values as rows of a tensor with one column.
fn eights(values: &[f32]) -> Vec<f32> {
    values.iter().flat_map(|&v| [v, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0]).collect()
}

fn column(stream: &Stream, values: &[f32]) -> (Memory, Tensor) {
    let memory = stream.holding(&eights(values)).unwrap();
    let tensor = Tensor { at: memory.at(), rows: values.len(), columns: 1, storage: Storage::F32 };
    assert_eq!(tensor.length(), values.len() * EIGHT);
    (memory, tensor)
}

/// The gradient of step `number`, laid out as on the host: zero between parameters.
fn gradient(graph: &Graph, number: usize) -> Vec<f32> {
    let mut gradient = Parameters::<f32>::zeros(graph).unwrap();
    let ranges: Vec<_> = gradient.layout().iter().map(|p| p.range.clone()).collect();
    for i in ranges.into_iter().flatten() {
        gradient.values_mut()[i] = ((i * 7 + number * 13 + 1) as f32).sin() * 10f32.powi(i as i32 % 5 - 3);
    }
    gradient.values().to_vec()
}

fn assert_close(what: &str, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        assert!((g - e).abs() <= 1e-6 * e.abs() + 1e-12, "{what} at {i}: {g} on the device, {e} on the CPU");
    }
}

/// The nearest bfloat16, the even one of two: by what lies on either side.
fn nearest(value: f32) -> u16 {
    let below = (value.to_bits() >> 16) as u16;
    let distance = |bits: u16| (f64::from(f32::from_bits(u32::from(bits) << 16)) - f64::from(value)).abs();
    let (near, far) = (distance(below), distance(below + 1));
    if near < far || near == far && below.is_multiple_of(2) { below } else { below + 1 }
}

const KINDS: [OptimizerKind; 3] = [OptimizerKind::Adam, OptimizerKind::AdamW, OptimizerKind::Sgd];

fn spec(optimizer: OptimizerKind) -> TrainSpec {
    TrainSpec { optimizer, weight_decay: 0.1, ..TrainSpec::default() }
}

#[test]
fn ten_steps_of_every_optimiser_are_those_of_the_cpu() {
    let graph = graph(19);
    for (kind, precision) in KINDS.iter().flat_map(|&k| [(k, Precision::Fp32), (k, Precision::Bf16)]) {
        let device = Device::new(&graph, &spec(kind), precision);
        let mut parameters = Parameters::<f32>::start(&graph, 4).unwrap();
        let mut optimizer = Optimizer::new(&spec(kind), &parameters);
        let mut gradients = Gradients::<f32>::zeros(&graph).unwrap();
        for number in 0..10 {
            let (values, rate) = (gradient(&graph, number), 0.01 / (number + 1) as f64);
            for bucket in 0..gradients.buckets() {
                gradients.put(bucket, values[gradients.place(bucket)].to_vec());
            }
            optimizer.step(&mut parameters, &gradients, rate);
            device.step(&values, number as u64, rate);
            let what = format!("{kind:?} {precision:?}, step {number}");
            assert_close(&what, device.parameters(&graph).values(), parameters.values());
            let memory = device.update.memory(&parameters).unwrap();
            assert_eq!(memory.len(), optimizer.memory().len());
            for (got, expected) in memory.iter().zip(optimizer.memory()) {
                assert_close(&format!("memory of {what}"), got.values(), expected);
            }
        }
        let counters = device.update.counters().unwrap();
        assert_eq!((counters.steps, counters.skipped), (optimizer.steps(), 0));
        assert_eq!((counters.counted, counters.last_skipped, counters.finite), (1000, None, true));
        // Nothing is remembered of what descends at a rate of its own.
        let memory = device.update.memory(&parameters).unwrap();
        for place in parameters.layout().iter().filter(|place| place.rule != Rule::Optimizer) {
            assert!(memory.iter().all(|m| m.values()[place.range.clone()].iter().all(|&v| v == 0.0)));
        }
        // What lies between rows has never moved.
        let (layout, master) = (device.parameters.layout(), device.master());
        let mut host = parameters.zeros_like();
        layout.gather(&master, host.values_mut());
        assert_eq!(layout.spread(host.values()), master);
        let expected: Vec<u16> = master.iter().map(|&v| nearest(v)).collect();
        assert_eq!(device.copy(), if precision == Precision::Bf16 { expected } else { vec![] });
    }
}

#[test]
fn nothing_changes_where_a_gradient_or_a_loss_is_not_finite_and_it_is_counted() {
    let graph = graph(19);
    let used: Vec<usize> =
        (0..).zip(gradient(&graph, 0)).filter(|&(_, v)| v != 0.0).map(|(i, _)| i).collect();
    let places = [used[0], used[1], used[used.len() / 2], used[used.len() - 1]];
    let strange = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
    for kind in KINDS {
        let device = Device::new(&graph, &spec(kind), Precision::Bf16);
        (0..LANES).for_each(|lane| device.set_losses(lane, &[0.5; ROWS]));
        device.step(&gradient(&graph, 0), 0, 0.1);
        let (before, counters) = (device.bits(&graph), device.update.counters().unwrap());
        assert_eq!(counters.lane_losses, [0.5 * PAIRS as f64; LANES]);
        let mut skipped = 0;
        let mut check = |number: u64, what: &str| {
            skipped += 1;
            let now = device.update.counters().unwrap();
            assert_eq!((now.skipped, now.last_skipped, now.finite), (skipped, Some(number), false), "{what}");
            let kept = |c: &super::update::Counters| (c.steps, c.counted, c.lane_losses.clone());
            assert_eq!(kept(&now), kept(&counters), "{what}");
            assert!(device.bits(&graph) == before, "{what} changed something");
        };
        for (number, (at, value)) in places.into_iter().flat_map(|at| strange.map(|v| (at, v))).enumerate() {
            let mut values = gradient(&graph, number);
            values[at] = value;
            device.step(&values, 70 + number as u64, 0.1);
            check(70 + number as u64, "a gradient");
        }
        for lane in 0..LANES {
            for value in strange {
                let mut losses = [0.5; ROWS];
                losses[PAIRS - 1] = value;
                device.set_losses(lane, &losses);
                device.step(&gradient(&graph, 3), 99, 0.1);
                check(99, "a loss");
            }
            device.set_losses(lane, &[0.5; ROWS]);
        }
        device.step(&gradient(&graph, 3), 100, 0.1);
        let now = device.update.counters().unwrap();
        assert_eq!((now.finite, now.skipped, now.last_skipped), (true, skipped, Some(99)));
        assert_eq!(now.counted, 200);
        assert_ne!(device.bits(&graph), before);
    }
}

#[test]
fn a_loss_of_another_rank_and_what_ranks_ask_for_come_with_the_gradient() {
    let graph = graph(19);
    let device = Device::new(&graph, &spec(OptimizerKind::Sgd), Precision::Fp32);
    let asks = Asks { stop: false, checkpoint: true };
    device.update.ask(asks).unwrap();
    device.step(&gradient(&graph, 0), 0, 0.1);
    assert_eq!(device.update.counters().unwrap().asks, asks);
    device.update.ask(Asks::default()).unwrap();
    device.step(&gradient(&graph, 0), 1, 0.1);
    assert_eq!(device.update.counters().unwrap().asks, Asks::default());
    // As a sum over ranks leaves them: two ranks ask to stop, and one has a loss that is not finite.
    let before = device.bits(&graph);
    let words = 4 * device.gradients.layout().length();
    for (strange, skipped) in [(1.0, 1), (0.0, 1)] {
        device.gradients.memory().upload(words, &[2.0f32, 0.0, strange]).unwrap();
        device.update.step(&device.parameters, &device.gradients, device.pass.at()).unwrap();
        let counters = device.update.counters().unwrap();
        assert_eq!(counters.asks, Asks { stop: true, checkpoint: false });
        assert_eq!(counters.skipped, skipped);
        assert_eq!(device.bits(&graph) == before, strange > 0.0);
    }
    device.update.begin_epoch().unwrap();
    let counters = device.update.counters().unwrap();
    assert_eq!((counters.counted, counters.skipped, counters.lane_losses), (0, 1, vec![0.0; LANES]));
}

#[test]
fn the_norm_is_that_of_f64_and_large_gradients_are_finite() {
    let graph = graph(301);
    let device = Device::new(&graph, &spec(OptimizerKind::Sgd), Precision::Fp32);
    for scale in [1e-30, 1.0, 1e30] {
        let values: Vec<f32> = gradient(&graph, 5).iter().map(|v| v * scale).collect();
        device.step(&values, 0, 1e-30);
        let counters = device.update.counters().unwrap();
        let expected = values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        assert!((counters.norm / expected - 1.0).abs() < 1e-13, "{} {expected}", counters.norm);
        assert!(counters.finite);
    }
}

#[test]
fn losses_are_summed_in_f64_whatever_the_padding() {
    let stream = HostDriver::stream();
    let layout = CudaLayout::new(&Graph::new()).unwrap();
    let spec = TrainSpec::default();
    let update = CudaUpdate::new(&stream, &spec, layout.clone(), Precision::Fp32, 1).unwrap();
    let parameters = CudaParameters::zeros(&stream, layout.clone(), Precision::Fp32).unwrap();
    let gradients = CudaGradients::zeros(&stream, layout).unwrap();
    for pairs in [0, 1, 255, 16_390, 20_000] {
        let losses: Vec<f32> = (0..pairs).map(|i| (i as f32).sin().abs() * 10f32.powi(i % 7)).collect();
        let pass = CudaPass { pairs: pairs as u32, ..CudaPass::default() };
        let pass = stream.holding(&[pass]).unwrap();
        let sums = [1, 250, 3000].map(|padding| {
            let padded: Vec<f32> = losses.iter().copied().chain(vec![1e30; padding]).collect();
            let (_memory, tensor) = column(&stream, &padded);
            update.begin_epoch().unwrap();
            update.loss(tensor, 0, pass.at()).unwrap();
            update.words(&gradients).unwrap();
            update.step(&parameters, &gradients, pass.at()).unwrap();
            update.counters().unwrap().lane_losses[0]
        });
        let expected = sum(&losses);
        assert!((sums[0] - expected).abs() <= 1e-13 * expected, "{pairs}: {} {expected}", sums[0]);
        assert!(sums.iter().all(|sum| sum.to_bits() == sums[0].to_bits()), "{pairs}: {sums:?}");
    }
}

#[test]
fn a_training_goes_on_from_what_was_downloaded() {
    let graph = graph(19);
    for kind in KINDS {
        let first = Device::new(&graph, &spec(kind), Precision::Bf16);
        (0..LANES).for_each(|lane| first.set_losses(lane, &[0.25 + lane as f32; ROWS]));
        (0..3).for_each(|number| first.step(&gradient(&graph, number), number as u64, 0.01));
        first.step(&[f32::NAN; 1].repeat(gradient(&graph, 0).len()), 3, 0.01);
        let (parameters, counters) = (first.parameters(&graph), first.update.counters().unwrap());
        let memory = first.update.memory(&parameters).unwrap();

        let second = Device::new(&graph, &spec(kind), Precision::Bf16);
        (0..LANES).for_each(|lane| second.set_losses(lane, &[0.25 + lane as f32; ROWS]));
        second.parameters.upload(&parameters).unwrap();
        let super::update::Counters { steps, counted, skipped, ref lane_losses, .. } = counters;
        assert_eq!((counted, skipped), (300, 1));
        second.update.restore(&memory, steps, counted, skipped, lane_losses).unwrap();
        let mut cpu = (parameters.clone(), Optimizer::new(&spec(kind), &parameters));
        cpu.1.restore(&memory, steps);
        for number in 4..6 {
            let values = gradient(&graph, number);
            first.step(&values, number as u64, 0.02);
            second.step(&values, number as u64, 0.02);
            let mut gradients = Gradients::<f32>::zeros(&graph).unwrap();
            (0..gradients.buckets()).for_each(|b| gradients.put(b, values[gradients.place(b)].to_vec()));
            cpu.1.step(&mut cpu.0, &gradients, 0.02);
        }
        assert!(first.bits(&graph) == second.bits(&graph), "{kind:?}");
        assert_close(&format!("{kind:?}"), second.parameters(&graph).values(), cpu.0.values());
        let [now, then] = [&first, &second].map(|device| device.update.counters().unwrap());
        assert_eq!(now.last_skipped, Some(3));
        assert_eq!(super::update::Counters { last_skipped: None, ..now }, then);
    }
}

/// Blocks of a kernel's contract but not of its launch: what each value comes to is the same.
#[test]
fn no_value_depends_on_how_many_threads_share_a_block() {
    const EIGHTS: usize = 75;
    let stream = HostDriver::stream();
    let values = |seed: usize| (0..EIGHTS * EIGHT).map(move |i| ((i * 3 + seed) as f32).sin());
    let hold = |seed: usize| stream.holding(&values(seed).collect::<Vec<_>>()).unwrap();
    let run = |[grid, block]: [usize; 2]| {
        let state = [0, 1, 2, 3].map(hold);
        let [master, gradient, first, second] = state.each_ref().map(Memory::at);
        let squares: Vec<f32> = values(3).map(|v| v * v).collect();
        state[3].upload(0, &squares).unwrap();
        let decay = hold(9);
        let copy = stream.zeros(EIGHTS * EIGHT * 2).unwrap();
        let verdict = stream.holding(&[1.0f32.to_bits(), 0.1f32.to_bits(), 0.2f32.to_bits(), 3f32.to_bits()]);
        let verdict = verdict.unwrap();
        let ends = [copy.at().into(), verdict.at().into()];
        let launch = |kernel, arguments: &[Argument]| {
            stream.launch(kernel, Storage::Bf16, [grid, 1], [block, 1], arguments).unwrap();
        };
        let mut arguments = [master, gradient, first, second, decay.at()].map(Argument::from).to_vec();
        arguments.extend::<[Argument; 2]>(ends);
        arguments.extend([0.9f32, 0.99, 1e-8].map(Argument::from));
        arguments.extend([Argument::from(true), EIGHTS.into()]);
        launch(Kernel::new("adam", "step"), &arguments);
        let mut arguments = [second, gradient, first, decay.at()].map(Argument::from).to_vec();
        arguments.extend::<[Argument; 2]>(ends);
        arguments.extend([Argument::from(0.5f32), EIGHTS.into()]);
        launch(Kernel::new("sgd", "step"), &arguments);
        let sum = [gradient.into(), first.into(), EIGHTS.into()];
        launch(Kernel::new("lane_sum", "added"), &sum);
        let mut all: Vec<f32> = Vec::new();
        for memory in &state {
            let mut values = [0.0f32; EIGHTS * EIGHT];
            memory.download(0, &mut values).unwrap();
            all.extend(values);
        }
        assert!(all.iter().all(|v| v.is_finite()));
        all.into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    let expected = run([1, 256]);
    for shape in [[75, 1], [11, 7], [3, 33], [1, 1024], [9, 256]] {
        assert!(run(shape) == expected, "{shape:?}");
    }
}
