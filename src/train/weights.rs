use crate::atomic;
use crate::graph::{Graph, Parameters};
use crate::{Error, Result};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::collections::HashMap;
use std::path::Path;

/// Writes every parameter, f32 `[rows, columns]` under its name, in the
/// safetensors format.
pub fn save_weights(path: &Path, parameters: &Parameters<f32>) -> Result<()> {
    let view = |p: &crate::graph::Parameter| {
        let bytes = bytemuck::cast_slice(&parameters.values()[p.range.clone()]);
        TensorView::new(Dtype::F32, p.shape.to_vec(), bytes).map(|view| (p.name.clone(), view))
    };
    let failed =
        |e: safetensors::SafeTensorError| Error::run(path, format!("cannot lay out the weights: {e}"));
    let tensors = parameters.layout().iter().map(view).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let program = format!("crossrx {}", env!("CARGO_PKG_VERSION"));
    let metadata = HashMap::from([("program".to_string(), program)]);
    let bytes = safetensors::serialize(tensors, Some(metadata)).map_err(failed)?;
    atomic::write_file(path, |w| w.write_all(&bytes))
}

/// Reads the parameters of `graph`. Refuses a file that lacks one, has others,
/// or holds another shape or type, or a value that is not finite.
pub fn load_weights(path: &Path, graph: &Graph) -> Result<Parameters<f32>> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, "cannot read", e))?;
    let file =
        SafeTensors::deserialize(&bytes).map_err(|e| Error::run(path, format!("not safetensors: {e}")))?;
    let mut parameters = Parameters::<f32>::zeros(graph)?;
    if file.len() != parameters.layout().len() {
        let what = format!("{} tensors for a network of {}", file.len(), parameters.layout().len());
        return Err(Error::run(path, what));
    }
    for place in parameters.clone().layout() {
        let tensor =
            file.tensor(&place.name).map_err(|_| Error::run(path, format!("lacks '{}'", place.name)))?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != place.shape {
            let what = format!(
                "'{}' is {} {:?}, not F32 {:?}",
                place.name,
                tensor.dtype(),
                tensor.shape(),
                place.shape
            );
            return Err(Error::run(path, what));
        }
        let values = &mut parameters.values_mut()[place.range.clone()];
        for (value, b) in values.iter_mut().zip(tensor.data().chunks_exact(4)) {
            *value = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        }
        if values.iter().any(|v| !v.is_finite()) {
            return Err(Error::run(path, format!("'{}' holds a value that is not finite", place.name)));
        }
    }
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Activation, Linear};

    fn graph(columns: usize) -> Graph {
        let mut graph = Graph::new();
        let space = graph.space("pairs");
        let x = graph.input(space, 3);
        graph.add("l", Linear::new(3, columns, Activation::Identity), &[x]).unwrap();
        graph
    }

    #[test]
    fn weights_come_back_and_another_networks_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        let parameters = Parameters::<f32>::start(&graph(5), 3).unwrap();
        save_weights(&path, &parameters).unwrap();
        assert_eq!(load_weights(&path, &graph(5)).unwrap().values(), parameters.values());
        assert!(load_weights(&path, &graph(6)).unwrap_err().to_string().contains("l.weight"));
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.truncate(bytes.len() - 7);
        std::fs::write(&path, bytes).unwrap();
        assert!(load_weights(&path, &graph(5)).is_err());
    }
}
