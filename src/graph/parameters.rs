use super::Graph;
use crate::device::Element;
use crate::device::philox::{Stream, key, normal, philox4x32_10};
use crate::op::{Init, Rule};
use crate::{Error, Result};
use std::ops::Range;
use std::sync::Arc;

/// One parameter's place among all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Name, such as `head.0.weight`.
    pub name: String,
    /// `[rows, columns]`.
    pub shape: [usize; 2],
    /// Where its values lie.
    pub range: Range<usize>,
    /// Whether weight decay applies.
    pub decay: bool,
    /// What moves it.
    pub rule: Rule,
}

/// All parameters of a network in one buffer, or a buffer of that layout for
/// their moments. The last layer comes first: going backward, its gradient is
/// ready first, so what is ready is always a prefix.
#[derive(Debug, Clone)]
pub struct Parameters<T> {
    layout: Arc<[Parameter]>,
    values: Vec<T>,
}

/// Parameters start at multiples of this many values, a cache line of `f32`.
pub(super) const CELL: usize = 16;

/// A buffer of zeros. Fails, saying how much it is, if there is no memory for it.
pub(super) fn zeros<T: Element>(length: usize) -> Result<Vec<T>> {
    let mut values = Vec::new();
    values.try_reserve_exact(length).map_err(|_| {
        let gib = length as f64 * size_of::<T>() as f64 / f64::from(1 << 30);
        Error::Network(format!(
            "no memory for a buffer of {gib:.1} GiB; use smaller layers or a smaller batch"
        ))
    })?;
    values.resize(length, T::zero());
    Ok(values)
}

/// The place of every parameter of `graph`.
pub(super) fn layout(graph: &Graph) -> Result<Arc<[Parameter]>> {
    let too_many = || Error::Network("more parameters than can be counted; use smaller layers".into());
    let mut offset = 0usize;
    let mut places: Vec<Parameter> = Vec::with_capacity(graph.specs().len());
    for (name, spec) in graph.specs().iter().rev() {
        let length = spec.shape[0].checked_mul(spec.shape[1]).ok_or_else(too_many)?;
        let end = offset.checked_add(length).and_then(|end| end.checked_next_multiple_of(CELL));
        places.push(Parameter {
            name: name.clone(),
            shape: spec.shape,
            range: offset..offset + length,
            decay: spec.decay,
            rule: spec.rule,
        });
        offset = end.ok_or_else(too_many)?;
    }
    places.reverse();
    Ok(places.into())
}

impl<T: Element> Parameters<T> {
    /// A buffer of zeros for the parameters of `graph`. Fails if there is no
    /// memory for it.
    pub fn zeros(graph: &Graph) -> Result<Self> {
        let layout = layout(graph)?;
        let length = layout.iter().map(|p| p.range.end.next_multiple_of(CELL)).max().unwrap_or(0);
        Ok(Self { layout, values: zeros(length)? })
    }

    /// Starting values. They depend on the seed and on each parameter's place
    /// in the network alone. Fails if there is no memory for them.
    pub fn start(graph: &Graph, seed: u64) -> Result<Self> {
        let mut parameters = Self::zeros(graph)?;
        for (number, (_, spec)) in graph.specs().iter().enumerate() {
            let values = &mut parameters.values[parameters.layout[number].range.clone()];
            match spec.init {
                Init::Constant(value) => values.fill(T::of(value)),
                Init::Normal(deviation) => {
                    for (block, values) in values.chunks_mut(4).enumerate() {
                        let counter = Stream::Init.counter(block as u32, number as u32, 0, 0);
                        let draws = normal(philox4x32_10(counter, key(seed)));
                        for (value, draw) in values.iter_mut().zip(draws) {
                            *value = T::of(f64::from(draw) * deviation);
                        }
                    }
                }
            }
        }
        Ok(parameters)
    }

    /// A buffer of zeros of the same layout.
    pub fn zeros_like(&self) -> Self {
        Self { layout: self.layout.clone(), values: vec![T::zero(); self.values.len()] }
    }

    /// Every parameter, in the order in which the graph made them.
    pub fn layout(&self) -> &[Parameter] {
        &self.layout
    }

    /// The same list, to be kept while values change.
    pub fn clone_layout(&self) -> Arc<[Parameter]> {
        self.layout.clone()
    }

    /// One number for every [`Self::CELL`] values: what `of` gives for the
    /// parameter they belong to.
    pub fn by_cell(&self, of: impl Fn(&Parameter) -> f32) -> Vec<f32> {
        let mut cells = vec![0.0; self.values.len() / CELL];
        for parameter in self.layout.iter() {
            cells[parameter.range.start / CELL..parameter.range.end.div_ceil(CELL)].fill(of(parameter));
        }
        cells
    }

    /// Values that always belong to one parameter: every parameter starts at a
    /// multiple of this many.
    pub const CELL: usize = CELL;

    /// All values, with zeros between parameters.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// All values, to be changed.
    pub fn values_mut(&mut self) -> &mut [T] {
        &mut self.values
    }

    /// Number of values that training changes.
    pub fn count(&self) -> usize {
        self.layout.iter().map(|p| p.range.len()).sum()
    }

    pub(super) fn slice(&self, number: usize) -> &[T] {
        &self.values[self.layout[number].range.clone()]
    }
}
