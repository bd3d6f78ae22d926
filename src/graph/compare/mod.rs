//! A network on a CUDA device held against the same network on the processors,
//! on the same made-up inputs and parameters.

mod copies;
mod made_up;
mod one_op;

pub use copies::{download, feed, upload_rows};
pub use made_up::{fill, value};
pub use one_op::{OneOp, Trial};

use super::{
    CpuPlan, CudaGradients, CudaLayout, CudaParameters, CudaPlan, Gradients, Graph, NodeId, Parameters,
    Purpose,
};
use crate::Result;
use crate::device::cuda::{Precision, Stream};
use crate::op::{CudaPass, Step};
use std::sync::Arc;

/// What the processors make of a network, in single precision: the losses, and the gradient of 0.7 times their
/// sum.
pub struct Reference {
    graph: Arc<Graph>,
    loss: NodeId,
    fed: Vec<NodeId>,
    capacity: Vec<usize>,
    cpu: CpuPlan<f32>,
    parameters: Parameters<f32>,
    gradients: Gradients<f32>,
}

/// How far a device's values are from those of the processors.
#[derive(Debug, Clone)]
pub struct Difference {
    /// `output`, or the parameter whose gradient it is.
    pub name: String,
    /// The largest distance of two values as a part of the largest value, that being at least a thousandth.
    /// Infinite where a value is not a number.
    pub largest: f64,
}

/// What [`Reference::compare`] finds.
#[derive(Debug, Clone)]
pub struct Differences {
    /// Of the output, then of each parameter's gradient.
    pub each: Vec<Difference>,
    /// Distance of the gradients, all parameters in one, as a part of the length of the processors'.
    pub apart: f64,
    /// Whether both runs gave the same bits.
    pub repeats: bool,
}

impl Differences {
    /// The largest of all.
    pub fn largest(&self) -> f64 {
        self.each.iter().map(|one| one.largest).fold(0.0, f64::max)
    }
}

/// Values are not held to a part of less than this: where all are tiny, they are what is left of larger ones.
const LEAST: f32 = 1e-3;

/// Rows that a device adds to each space beyond those in use.
const PADDING: usize = 3;

const STEP: Step = Step { seed: 3, number: 11 };
const SCALE: f32 = 0.7;

impl Reference {
    /// Of `loss`, with so many made-up rows a space, fed through `fed`. Fails if there is no memory for it.
    pub fn new(
        graph: &Arc<Graph>,
        loss: NodeId,
        fed: &[NodeId],
        capacity: &[usize],
        rows: &[usize],
    ) -> Result<Self> {
        let mut parameters = Parameters::<f32>::start(graph, 1)?;
        // What is fed and learnt is exact in bfloat16: a device differs by what it rounds on the way alone.
        let rounded = |v: f32| f32::from_bits((v.to_bits() + 0x8000) & 0xffff_0000);
        let learnt = parameters.values_mut().iter_mut().enumerate();
        learnt.for_each(|(i, v)| *v = rounded(*v + 0.3 * value(i + 91) as f32));
        let mut cpu = CpuPlan::<f32>::new(graph.clone(), Purpose::Train, loss, &[], capacity)?;
        fill(&mut cpu, graph, fed, rows);
        for &input in fed {
            if let Some((values, _)) = cpu.input_mut(input) {
                values.iter_mut().for_each(|v| *v = rounded(*v));
            }
        }
        let mut gradients = cpu.gradients()?;
        cpu.forward(&parameters, STEP);
        cpu.backward(&parameters, &mut gradients, SCALE, STEP, &mut |_, _| ());
        Ok(Self {
            graph: graph.clone(),
            loss,
            fed: fed.to_vec(),
            capacity: capacity.to_vec(),
            cpu,
            parameters,
            gradients,
        })
    }

    /// Runs the network on a device, with padded rows, in buffers that hold what is no number: as it comes, and
    /// once more from a recording.
    pub fn compare(&mut self, stream: &Stream, precision: Precision) -> Result<Differences> {
        let padded: Vec<usize> = self.capacity.iter().map(|n| n + PADDING).collect();
        let graph = self.graph.clone();
        let plan = CudaPlan::new(graph.clone(), Purpose::Train, self.loss, &[], &padded, stream, precision)?;
        // Whatever buffers held before must not matter.
        plan.spoil()?;
        let uploaded = upload_rows(stream, &graph, self.cpu.rows(), PADDING)?;
        for &input in &self.fed {
            if let Some(tensor) = plan.input(input, uploaded.rows.of(graph.shape(input).space)) {
                let values = self.cpu.input_mut(input).map_or(&[][..], |(values, _)| values);
                feed(stream, tensor, values)?;
            }
        }
        let layout = CudaLayout::new(&graph)?;
        let parameters = CudaParameters::zeros(stream, layout.clone(), precision)?;
        parameters.upload(&self.parameters)?;
        let gradients = CudaGradients::zeros(stream, layout)?;
        let pairs = self.cpu.rows().of(graph.shape(self.loss).space);
        let pass = CudaPass {
            seed: STEP.seed,
            step: STEP.number,
            scale: SCALE,
            pairs: pairs as u32,
            ..CudaPass::default()
        };
        let pass = stream.holding(&[pass])?;
        let work = || {
            plan.forward(&parameters, &uploaded.rows, pass.at())?;
            plan.backward(&parameters, &gradients, &uploaded.rows, pass.at(), &mut |_| Ok(()))
        };
        let read = || -> Result<(Vec<f32>, Gradients<f32>)> {
            let output = download(stream, plan.output(&uploaded.rows), pairs)?;
            let mut on_host = Gradients::zeros(&graph)?;
            gradients.download(&mut on_host)?;
            Ok((output, on_host))
        };
        // What a pass leaves behind must not matter to the next.
        work()?;
        let (output, found) = read()?;
        let mut differences = self.differences(&output, &found);
        let recording = if stream.records() { Some(stream.record(work)?) } else { None };
        recording.as_ref().map_or_else(work, |recording| recording.replay())?;
        let (again, found_again) = read()?;
        let same = same_bits(&output, &again)
            && (0..self.parameters.layout().len())
                .all(|number| same_bits(found.of(number), found_again.of(number)));
        if !same {
            differences = differences.worse(self.differences(&again, &found_again));
            differences.repeats = false;
        }
        Ok(differences)
    }

    fn differences(&self, output: &[f32], gradients: &Gradients<f32>) -> Differences {
        let mut each = vec![difference("output", output, self.cpu.output())];
        let (mut apart, mut whole) = (0.0, 0.0);
        for (number, parameter) in self.parameters.layout().iter().enumerate() {
            let (got, expected) = (gradients.of(number), self.gradients.of(number));
            each.push(difference(&parameter.name, got, expected));
            let square = |v: f32| f64::from(v).powi(2);
            apart += got.iter().zip(expected).map(|(g, e)| square(g - e)).sum::<f64>();
            whole += expected.iter().map(|&e| square(e)).sum::<f64>();
        }
        let apart = if apart == 0.0 { 0.0 } else { (apart / whole).sqrt() };
        Differences { each, apart: if apart.is_nan() { f64::INFINITY } else { apart }, repeats: true }
    }
}

impl Differences {
    /// Of two runs, what is further off.
    fn worse(mut self, other: Self) -> Self {
        for (one, other) in self.each.iter_mut().zip(other.each) {
            one.largest = one.largest.max(other.largest);
        }
        Self { apart: self.apart.max(other.apart), repeats: self.repeats && other.repeats, ..self }
    }
}

fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

fn difference(name: &str, got: &[f32], expected: &[f32]) -> Difference {
    let whole = expected.iter().fold(LEAST, |most, v| most.max(v.abs()));
    let far = |(g, e): (&f32, &f32)| {
        let far = f64::from((g - e).abs() / whole);
        if far.is_nan() { f64::INFINITY } else { far }
    };
    let largest = if got.len() == expected.len() {
        got.iter().zip(expected).map(far).fold(0.0, f64::max)
    } else {
        f64::INFINITY
    };
    Difference { name: name.into(), largest }
}
