use super::Graph;
use super::parameters::{CELL, Parameter, layout, zeros};
use crate::Result;
use crate::device::Element;
use std::ops::Range;
use std::sync::Arc;

/// Gradients of all parameters of a network, in the order of
/// [`super::Parameters`], cut into a few buckets that can be sent away one by
/// one. The last layer is in the first bucket; a layer is never torn apart, so
/// going backward, one bucket after another becomes whole. A weight that several nodes share lies with
/// the first of them, which is the last to add its part.
#[derive(Debug)]
pub struct Gradients<T> {
    layout: Arc<[Parameter]>,
    places: Arc<[Place]>,
    buckets: Vec<Vec<T>>,
}

/// What one bucket holds.
#[derive(Debug, PartialEq)]
struct Place {
    /// Its values among all.
    values: Range<usize>,
    /// Number of the first of its parameters.
    first: usize,
}

/// Fewest values of a bucket but the last, 1 MiB of `f32`: smaller messages cost more a value.
/// (Networks of tests have several, too.)
const LEAST: usize = if cfg!(test) { 2 * CELL } else { 1 << 18 };

/// The cut of a network's parameters into buckets.
fn places(graph: &Graph, layout: &[Parameter]) -> Arc<[Place]> {
    let end = |number: usize| layout[number].range.end.next_multiple_of(CELL);
    let total = (0..layout.len()).map(end).max().unwrap_or(0);
    let least = LEAST.max(total.div_ceil(Gradients::<f32>::MOST));
    let (mut places, mut start) = (Vec::new(), 0);
    for node in (0..graph.len()).rev().map(|id| graph.node(super::NodeId(id))) {
        let first = node.parameters.start;
        if !node.parameters.is_empty() && (end(first) - start >= least || end(first) == total) {
            places.push(Place { values: start..end(first), first });
            start = end(first);
        }
    }
    if places.is_empty() {
        places.push(Place { values: 0..0, first: 0 });
    }
    places.into()
}

impl<T: Element> Gradients<T> {
    /// Most buckets.
    pub const MOST: usize = 8;

    /// Values that a bucket has room for beyond its own: words that travel with it.
    pub const SPARE: usize = 4;

    /// Zeros for the parameters of `graph`. Fails if there is no memory for them.
    pub fn zeros(graph: &Graph) -> Result<Self> {
        let layout = layout(graph)?;
        let places = places(graph, &layout);
        let buckets = buckets(&places)?;
        Ok(Self { layout, places, buckets })
    }

    /// Zeros in buckets of the same layout. Fails if there is no memory for them.
    pub fn zeros_like(&self) -> Result<Self> {
        let (layout, places) = (self.layout.clone(), self.places.clone());
        Ok(Self { layout, buckets: buckets(&places)?, places })
    }

    /// Number of buckets, at least one.
    pub fn buckets(&self) -> usize {
        self.places.len()
    }

    /// Where the values of a bucket lie among all.
    pub fn place(&self, bucket: usize) -> Range<usize> {
        self.places[bucket].values.clone()
    }

    /// The values of a bucket, with zeros between parameters.
    pub fn bucket(&self, bucket: usize) -> &[T] {
        &self.buckets[bucket]
    }

    /// The same, to be changed.
    pub fn bucket_mut(&mut self, bucket: usize) -> &mut [T] {
        &mut self.buckets[bucket]
    }

    /// Takes a bucket out, to be put back before anything else is done with it.
    pub fn take(&mut self, bucket: usize) -> Vec<T> {
        std::mem::take(&mut self.buckets[bucket])
    }

    /// Puts a bucket back that was taken out.
    pub fn put(&mut self, bucket: usize, values: Vec<T>) {
        debug_assert_eq!(values.len(), self.places[bucket].values.len());
        self.buckets[bucket] = values;
    }

    /// Number of the first parameter of a bucket.
    pub(super) fn first(&self, bucket: usize) -> usize {
        self.places[bucket].first
    }

    /// Whether a bucket is whole once parameters from number `settled` on have their gradient.
    pub(super) fn is_whole(&self, bucket: usize, settled: usize) -> bool {
        settled <= self.first(bucket)
    }

    /// The gradient of the parameter of this number.
    pub fn of(&self, number: usize) -> &[T] {
        let (bucket, range) = (bucket_of(&self.places, number), &self.layout[number].range);
        let start = self.places[bucket].values.start;
        &self.buckets[bucket][range.start - start..range.end - start]
    }

    /// The gradients of the parameters of one node, each to be changed, their numbers ascending. They
    /// lie from the last to the first, that of a shared weight maybe in a later bucket than the node's own.
    pub(super) fn slices_mut<const N: usize>(
        &mut self,
        numbers: impl DoubleEndedIterator<Item = usize>,
    ) -> arrayvec::ArrayVec<&mut [T], N> {
        let mut slices = arrayvec::ArrayVec::new();
        let mut buckets = self.buckets.iter_mut().zip(self.places.iter()).enumerate();
        let (mut open, mut rest, mut offset) = (None, &mut [][..], 0);
        for number in numbers.rev() {
            let bucket = bucket_of(&self.places, number);
            if open != Some(bucket)
                && let Some((_, (values, place))) = buckets.find(|(at, _)| *at == bucket)
            {
                (open, rest, offset) = (Some(bucket), values.as_mut_slice(), place.values.start);
            }
            let range = &self.layout[number].range;
            let (_, tail) = rest.split_at_mut(range.start - offset);
            let (slice, tail) = tail.split_at_mut(range.len());
            slices.push(slice);
            rest = tail;
            offset = range.end;
        }
        slices.reverse();
        slices
    }
}

/// The bucket that holds the parameter of this number.
fn bucket_of(places: &[Place], number: usize) -> usize {
    places.partition_point(|place| place.first > number)
}

fn buckets<T: Element>(places: &[Place]) -> Result<Vec<Vec<T>>> {
    let bucket = |place: &Place| {
        let mut values = zeros(place.values.len() + Gradients::<T>::SPARE)?;
        values.truncate(place.values.len());
        Ok(values)
    };
    places.iter().map(bucket).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Activation, Linear};

    #[test]
    fn buckets_cover_all_from_the_last_layer_and_tear_no_layer_apart() {
        let mut graph = Graph::new();
        let space = graph.space("pairs");
        let mut x = graph.input(space, 3);
        for layer in 0..40 {
            let (from, to) = (graph.shape(x).columns, 1 + layer * 7 % 11);
            x = graph.add(&format!("l{layer}"), Linear::new(from, to, Activation::Relu), &[x]).unwrap();
        }
        let mut gradients = Gradients::<f32>::zeros(&graph).unwrap();
        let total = super::super::Parameters::<f32>::zeros(&graph).unwrap().values().len();
        assert!((2..=Gradients::<f32>::MOST).contains(&gradients.buckets()));
        let places: Vec<Range<usize>> = (0..gradients.buckets()).map(|b| gradients.place(b)).collect();
        assert_eq!((places[0].start, places[places.len() - 1].end), (0, total));
        assert!(places.windows(2).all(|w| w[0].end == w[1].start && w[0].len() >= LEAST));
        for layer in 0..40 {
            let parameters = 2 * layer..2 * layer + 2;
            let lengths: Vec<usize> =
                gradients.slices_mut::<2>(parameters.clone()).into_iter().map(|s| s.len()).collect();
            gradients.slices_mut::<2>(parameters.clone())[1].fill(layer as f32);
            let ranges = parameters.clone().map(|p| gradients.layout[p].range.len());
            assert_eq!(lengths, ranges.collect::<Vec<_>>());
            assert!(gradients.of(parameters.start + 1).iter().all(|&v| v == layer as f32));
        }
        assert!(
            gradients.is_whole(0, gradients.places[0].first)
                && !gradients.is_whole(1, gradients.places[0].first)
        );
    }

    #[test]
    fn a_network_without_parameters_has_one_empty_bucket() {
        let gradients = Gradients::<f32>::zeros(&Graph::new()).unwrap();
        assert_eq!((gradients.buckets(), gradients.bucket(0).len()), (1, 0));
    }
}
