use crate::graph::{Gradients, Parameters};

/// One parameter of a layer with a gradient that is not a finite number.
#[derive(Debug, Clone, PartialEq)]
pub struct Diverged {
    /// Name, such as `head.0.weight`.
    name: String,
    /// Values of its gradient that are not finite, and all of them.
    strange: [usize; 2],
    /// Smallest and largest of the others.
    gradient: [f32; 2],
    /// Smallest and largest weight.
    weights: [f32; 2],
}

/// Every parameter of the layers that have a gradient that is not finite, in
/// the order of the forward pass.
pub fn diverged(parameters: &Parameters<f32>, gradients: &Gradients<f32>) -> Vec<Diverged> {
    let all = parameters.layout().iter().enumerate().map(|(number, parameter)| {
        let gradient = gradients.of(number);
        let strange = gradient.iter().filter(|v| !v.is_finite()).count();
        Diverged {
            name: parameter.name.clone(),
            strange: [strange, gradient.len()],
            gradient: range(gradient),
            weights: range(&parameters.values()[parameter.range.clone()]),
        }
    });
    let mut all: Vec<Diverged> = all.collect();
    let mut layers: Vec<String> =
        all.iter().filter(|d| d.strange[0] > 0).map(|d| d.layer().to_string()).collect();
    layers.dedup();
    all.retain(|d| layers.iter().any(|layer| layer == d.layer()));
    all
}

/// Smallest and largest finite value.
fn range(values: &[f32]) -> [f32; 2] {
    let finite = values.iter().copied().filter(|v| v.is_finite());
    finite.fold([f32::INFINITY, f32::NEG_INFINITY], |[low, high], v| [low.min(v), high.max(v)])
}

impl Diverged {
    /// Name of its layer.
    pub fn layer(&self) -> &str {
        self.name.rsplit_once('.').map_or(&self.name, |(layer, _)| layer)
    }
}

impl std::fmt::Display for Diverged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let range = |[low, high]: [f32; 2]| match low <= high {
            true => format!("{low:e} to {high:e}"),
            false => "none".into(),
        };
        let [strange, all] = self.strange;
        let (gradient, weights) = (range(self.gradient), range(self.weights));
        write!(
            f,
            "{}: {strange} of {all} values of the gradient are not finite (finite: {gradient}), weights {weights}",
            self.name
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::op::{Activation, Linear};

    #[test]
    fn layers_that_went_wrong_are_told_in_forward_order() {
        let mut graph = Graph::new();
        let space = graph.space("pairs");
        let mut x = graph.input(space, 2);
        for name in ["tower.0", "tower.1", "head.0"] {
            x = graph.add(name, Linear::new(2, 2, Activation::Identity), &[x]).unwrap();
        }
        let mut parameters = Parameters::<f32>::zeros(&graph).unwrap();
        let mut gradients = Gradients::<f32>::zeros(&graph).unwrap();
        assert_eq!(diverged(&parameters, &gradients), []);
        // Of the last layer a weight, of the first a bias: each lies first of its parameter.
        let place = |name: &str| parameters.layout().iter().find(|p| p.name == name).unwrap().range.start;
        let places = [place("head.0.weight"), place("tower.0.bias")];
        for (at, value) in places.into_iter().zip([f32::NAN, f32::NEG_INFINITY]) {
            let bucket = (0..gradients.buckets()).find(|&b| gradients.place(b).contains(&at)).unwrap();
            let first = gradients.place(bucket).start;
            gradients.bucket_mut(bucket)[at - first] = value;
        }
        parameters.values_mut()[places[0]] = f32::INFINITY;
        parameters.values_mut()[places[0] + 1] = -2.5e20;
        let told: Vec<String> = diverged(&parameters, &gradients).iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "tower.0.weight: 0 of 4 values of the gradient are not finite (finite: 0e0 to 0e0), weights 0e0 to 0e0",
                "tower.0.bias: 1 of 2 values of the gradient are not finite (finite: 0e0 to 0e0), weights 0e0 to 0e0",
                "head.0.weight: 1 of 4 values of the gradient are not finite (finite: 0e0 to 0e0), weights -2.5e20 to 0e0",
                "head.0.bias: 0 of 2 values of the gradient are not finite (finite: 0e0 to 0e0), weights 0e0 to 0e0",
            ]
        );
        assert_eq!(diverged(&parameters, &gradients)[0].layer(), "tower.0");
    }
}
