//! Batches that the kernels of a device make, run on the host, held against those of the CPU.

use super::compare::{fed, held, lists as segments, padded, words};
use super::{
    BatchComparison, CudaAssembler, CudaFeeder, CudaPairs, CudaTables, EntityPort, Examples, FeaturePort,
    Lanes, Ports,
};
use crate::batch::Assembler;
use crate::device::cuda::{HostDriver, Precision, Stream};
use crate::device::philox::{Stream as Use, key, philox4x32_10};
use crate::feature::{Features, ScaledFeatures};
use crate::graph::{CpuPlan, CudaPlan, Graph, NodeId, Purpose};
use crate::op::{Activation, BitLinear, Fuse, Linear, SquaredError};
use crate::store::Entity;
use std::rc::Rc;
use std::sync::Arc;

const SEED: u64 = 7;

/// A corpus with its network.
struct Case {
    network: Network,
    features: [ScaledFeatures; 2],
    lanes: Lanes,
    train: Vec<Examples>,
}

/// One layer an entity, joined with the dose.
struct Network {
    graph: Arc<Graph>,
    ports: Ports,
    loss: NodeId,
}

impl Network {
    fn new(columns: [usize; 2], kinds: [Kind; 2]) -> Self {
        let mut graph = Graph::new();
        let pairs = graph.space("pairs");
        let spaces = [graph.space("drugs"), graph.space("samples")];
        let activation = Activation::Identity;
        let mut layers = Vec::new();
        let entities = [0, 1].map(|side| {
            let (space, map) = (spaces[side], graph.map(pairs, spaces[side]));
            let (features, layer) = if kinds[side] == Kind::Bits {
                let (bits, ends) = graph.bits(space, columns[side]);
                let op = BitLinear { bits, ends, columns: 4, bias: false, activation, variance: 1.0 };
                (FeaturePort::Bits(bits), graph.add("tower", op, &[]).unwrap())
            } else {
                let input = graph.input(space, columns[side]);
                let layer = graph.add("tower", Linear::new(columns[side], 4, activation), &[input]).unwrap();
                (FeaturePort::Values(input), layer)
            };
            layers.push(layer);
            EntityPort { space, map, features }
        });
        let dose = graph.input(pairs, 1);
        let maps = entities.map(|port| port.map).to_vec();
        let fuse = Fuse { maps, dense: true, activation, variance: 1.0 };
        let fused = graph.add("fused", fuse, &[layers[0], layers[1], dose]).unwrap();
        let out = graph.add("out", Linear::new(4, 1, activation), &[fused]).unwrap();
        let truth = graph.input(pairs, 1);
        let loss = graph.add("loss", SquaredError, &[out, truth]).unwrap();
        let ports = Ports { pairs, entities, dose: Some(dose), truth };
        Self { graph: Arc::new(graph), ports, loss }
    }
}

/// How the features of an entity are.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Numbers, some missing; every fifth entity has none.
    Numbers,
    /// Numbers that are zero or one.
    Binary,
    /// Fed as bits.
    Bits,
}

fn word(a: usize, b: usize) -> u32 {
    philox4x32_10(Use::MadeUp.counter(a as u32, b as u32, 0, 0), key(SEED))[0]
}

/// Features of `entities` entities, and which of them have some.
fn features(entity: Entity, entities: usize, columns: usize, kind: Kind) -> (ScaledFeatures, Vec<u32>) {
    let value = |row: usize, column: usize| match kind {
        Kind::Numbers if word(row, column).is_multiple_of(11) => f32::NAN,
        Kind::Numbers => (word(row, column) % 1000) as f32 / 99.0,
        _ => f32::from(u8::from(word(row, column).is_multiple_of(3))),
    };
    let table = if kind == Kind::Numbers {
        let rows: Vec<Option<Vec<f32>>> = (0..entities)
            .map(|row| (row % 5 != 3).then(|| (0..columns).map(|column| value(row, column)).collect()))
            .collect();
        let names: Vec<String> = (0..columns).map(|column| column.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Features::made_up(entity, &names, &rows.iter().map(Option::as_deref).collect::<Vec<_>>())
    } else {
        let values = (0..entities * columns).map(|i| value(i / columns, i % columns)).collect();
        Features::of_all(entity, columns, values, kind == Kind::Bits).unwrap()
    };
    let present = table.present();
    let scale = (0..columns).map(|column| (0.3 * column as f32, 1.0 / (1.0 + column as f32))).collect();
    (ScaledFeatures::new(Rc::new(table), scale, 2.0), present)
}

/// `pair` gives the drug and the sample of a number, by their places among those with features.
fn case(kinds: [Kind; 2], entities: [usize; 2], lanes: Lanes, pair: impl Fn(usize) -> [usize; 2]) -> Case {
    let columns = [13, 9];
    let [(drugs, drug_list), (samples, sample_list)] = Entity::ALL.map(|entity| {
        let side = entity as usize;
        features(entity, entities[side], columns[side], kinds[side])
    });
    let network = Network::new(columns, kinds);
    let mut number = 0;
    let train = (0..lanes.count()).map(|lane| {
        let mut examples = Examples::default();
        for _ in 0..lanes.rows(lane) {
            let [drug, sample] = pair(number);
            examples.drug.push(drug_list[drug % drug_list.len()]);
            examples.sample.push(sample_list[sample % sample_list.len()]);
            examples.dose.push((number as f32).sin());
            examples.truth.push((number as f32).cos());
            examples.number.push(1000 + 3 * number as u32);
            number += 1;
        }
        examples
    });
    let train = train.collect();
    Case { network, features: [drugs, samples], lanes, train }
}

/// Asserts that a tensor fed on the device holds `expected`, rounded, and zeros in padding.
fn assert_fed(stream: &Stream, plan: &CudaPlan, input: NodeId, rows: usize, expected: &[f32]) {
    let tensor = plan.input(input, rows).unwrap();
    assert_eq!(held(stream, tensor).unwrap(), fed(tensor, plan.precision(), expected));
}

fn cuda_plan(case: &Case, capacity: &[usize], stream: &Stream, precision: Precision) -> CudaPlan {
    let graph = case.network.graph.clone();
    CudaPlan::new(graph, Purpose::Train, case.network.loss, &[], capacity, stream, precision).unwrap()
}

/// Holds every step of two epochs against the CPU's, assembled from recordings.
fn check(case: Case, precision: Precision) {
    let Case { network, features, lanes, train } = &case;
    // The lanes of a rank that has not the first.
    let first = usize::from(lanes.count() > 1);
    let comparison = BatchComparison {
        graph: &network.graph,
        loss: network.loss,
        ports: network.ports,
        features,
        lanes: *lanes,
        train: &train[first..],
        first,
        seed: SEED,
    };
    let compared = comparison.on(&HostDriver::stream(), precision).unwrap();
    assert!(compared.faults.is_empty(), "{:?}", compared.faults);
    assert_eq!(compared.batches, 2 * lanes.steps() * (lanes.count() - first));
    assert!(compared.recordings < 2 * lanes.steps() * lanes.count() || lanes.steps() == 1);
}

fn random(number: usize) -> [usize; 2] {
    [word(number, 0) as usize % 999, word(number, 1) as usize % 999]
}

#[test]
fn batches_are_those_of_the_cpu() {
    // Three lanes of 47, 47 and 46 pairs, steps of 15 and 16.
    let lanes = Lanes::new(140, 3, 48).unwrap();
    for precision in [Precision::Fp32, Precision::Bf16] {
        check(case([Kind::Numbers, Kind::Binary], [40, 7], lanes, random), precision);
        check(case([Kind::Bits, Kind::Numbers], [30, 12], lanes, random), precision);
        check(case([Kind::Binary, Kind::Bits], [30, 12], lanes, random), precision);
    }
}

#[test]
fn batches_of_many_pairs_and_drugs_are_those_of_the_cpu() {
    // Several tiles, and two digits of the drugs.
    let lanes = Lanes::new(5000, 1, 2500).unwrap();
    check(case([Kind::Numbers, Kind::Bits], [700, 33], lanes, random), Precision::Bf16);
}

#[test]
fn one_drug_and_all_drugs_distinct_are_batches_too() {
    let lanes = Lanes::new(30, 1, 13).unwrap();
    check(case([Kind::Numbers, Kind::Numbers], [1, 50], lanes, |n| [0, n]), Precision::Fp32);
    check(case([Kind::Numbers, Kind::Numbers], [50, 1], lanes, |n| [n, 0]), Precision::Fp32);
    check(case([Kind::Bits, Kind::Binary], [400, 400], lanes, |n| [n, 399 - n]), Precision::Fp32);
    // A lane that gives nothing to a step.
    let lanes = Lanes::new(5, 4, 4).unwrap();
    assert!((0..2).any(|step| lanes.step(1, step).is_empty()));
    check(case([Kind::Bits, Kind::Numbers], [5, 5], lanes, |n| [n, n]), Precision::Fp32);
}

#[test]
fn steps_that_are_counted_in_several_blocks_count_the_same() {
    let lanes = Lanes::new(200, 2, 22).unwrap();
    let case = case([Kind::Numbers, Kind::Numbers], [90, 70], lanes, random);
    let stream = HostDriver::stream();
    let ports = case.network.ports;
    let tables = Rc::new(CudaTables::new(&stream, Precision::Fp32, ports, &case.features).unwrap());
    let mut assembler = CudaAssembler::new(tables, &case.train, 0, lanes).unwrap();
    let count = |assembler: &mut CudaAssembler| {
        assembler.begin_epoch(SEED, 3).unwrap();
        let steps = (0..2).flat_map(|lane| (0..lanes.steps()).map(move |step| (lane, step)));
        steps.map(|(lane, step)| assembler.distinct(lane, step)).collect::<Vec<_>>()
    };
    let at_once = count(&mut assembler);
    assert!(at_once.iter().all(|[drugs, samples]| *drugs > 1 && *samples > 1));
    assembler.count_in_blocks_of(3);
    assert_eq!(count(&mut assembler), at_once);
}

#[test]
fn pairs_that_a_device_cannot_take_are_refused() {
    let lanes = Lanes::new(20, 1, 10).unwrap();
    let mut case = case([Kind::Numbers, Kind::Numbers], [9, 9], lanes, random);
    let stream = HostDriver::stream();
    let ports = case.network.ports;
    let tables = CudaTables::new(&stream, Precision::Fp32, ports, &case.features).unwrap();
    assert_eq!(CudaPairs::new(&tables, &case.train).unwrap().len(), 20);
    case.train[0].drug[7] = 3;
    let fault = CudaPairs::new(&tables, &case.train).unwrap_err().to_string();
    assert!(fault.contains("drug 3") && fault.contains("features"), "{fault}");
    case.train[0].drug[7] = 1000;
    assert!(CudaPairs::new(&tables, &case.train).unwrap_err().to_string().contains("drug 1000"));
    case.train[0].drug[7] = 1;
    case.train[0].dose.clear();
    assert!(CudaPairs::new(&tables, &case.train).unwrap_err().to_string().contains("dose"));
}

#[test]
fn scoring_plans_are_fed_as_on_the_cpu() {
    let lanes = Lanes::new(60, 1, 60).unwrap();
    for (kinds, precision) in [
        ([Kind::Numbers, Kind::Binary], Precision::Fp32),
        ([Kind::Binary, Kind::Numbers], Precision::Bf16),
        ([Kind::Bits, Kind::Numbers], Precision::Fp32),
    ] {
        let case = case(kinds, [40, 21], lanes, random);
        let Case { network, features, train, .. } = &case;
        let stream = HostDriver::stream();
        let ports = network.ports;
        let capacity = ports.capacity(60, [60; 2]);
        let mut cpu =
            CpuPlan::<f32>::new(network.graph.clone(), Purpose::Train, network.loss, &[], &capacity).unwrap();
        let mut on_cpu = Assembler::new(ports, features.clone());
        let tables = Rc::new(CudaTables::new(&stream, precision, ports, features).unwrap());
        let mut feeder = CudaFeeder::new(tables.clone(), 30, 30).unwrap();
        assert_eq!(feeder.tower_capacity(), ports.capacity(0, [32; 2]));
        assert_eq!(feeder.head_capacity([9, 17]), ports.capacity(32, [16, 24]));
        let plan = cuda_plan(&case, &capacity.map(|n| n.next_multiple_of(8)), &stream, precision);
        plan.spoil().unwrap();
        let lists = Entity::ALL.map(|entity| {
            // In another order than the table's.
            let mut list: Vec<u32> = train[0].of(entity).to_vec();
            list.sort_unstable_by_key(|&index| std::cmp::Reverse(index));
            list.dedup();
            list
        });
        for entity in Entity::ALL {
            let list = &lists[entity as usize];
            let port = ports.entities[entity as usize];
            for chunk in list.chunks(10) {
                on_cpu.feed_entities(&mut cpu, entity, chunk);
                let rows = feeder.feed_entities(&plan, entity, chunk).unwrap();
                assert_eq!(rows.of(port.space), chunk.len().next_multiple_of(8));
                match port.features {
                    FeaturePort::Values(input) => {
                        let values = cpu.input_mut(input).unwrap().0.to_vec();
                        assert_fed(&stream, &plan, input, rows.of(port.space), &values);
                    }
                    FeaturePort::Bits(id) => {
                        let bits = rows.bits(id).unwrap();
                        let table = features[entity as usize].table();
                        let entities = words(&stream, bits.entity, chunk.len()).unwrap();
                        let ones = segments(&stream, bits.ones, table.rows()).unwrap();
                        for (&at, &index) in entities.iter().zip(chunk) {
                            assert_eq!(ones.of(at as usize), table.ones_of(index));
                        }
                    }
                }
            }
            on_cpu.locate(entity, list);
            feeder.locate(entity, list).unwrap();
        }
        let pairs = CudaPairs::new(&tables, train).unwrap();
        for run in [0..30, 30..59, 59..60] {
            on_cpu.feed_pairs(&mut cpu, &train[0], run.clone());
            let rows = feeder.feed_pairs(&plan, &pairs, run.clone()).unwrap();
            let all = rows.of(ports.pairs);
            assert_eq!(all, run.len().next_multiple_of(8));
            for port in ports.entities {
                let got = words(&stream, rows.map(port.map).unwrap().index, all).unwrap();
                assert_eq!(got, padded(&cpu.rows().map(port.map).index, all, 0));
            }
            let dose = ports.dose.unwrap();
            let values = cpu.input_mut(dose).unwrap().0.to_vec();
            assert_fed(&stream, &plan, dose, all, &values);
            let mut read = vec![5.0];
            feeder.read(plan.input(dose, all).unwrap(), run.len(), &mut read).unwrap();
            assert_eq!(read[0], 5.0);
            assert_eq!(read[1..], train[0].dose[run]);
        }
    }
}
