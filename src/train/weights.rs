use crate::atomic;
use crate::graph::{Graph, Parameter, Parameters};
use crate::{Error, Result};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::collections::HashMap;
use std::path::Path;

/// Writes every parameter, f32 `[rows, columns]` under its name, in the
/// safetensors format.
pub fn save_weights(path: &Path, parameters: &Parameters<f32>) -> Result<()> {
    let failed = |e| cannot_lay_out(path, e);
    let tensors = tensors("", parameters.layout(), parameters.values()).map_err(failed)?;
    let bytes = safetensors::serialize(tensors, Some(program())).map_err(failed)?;
    atomic::write_file(path, |w| w.write_all(&bytes))
}

/// Reads the parameters of `graph`. Refuses a file that lacks one, has others,
/// or holds another shape or type, or a value that is not finite.
pub fn load_weights(path: &Path, graph: &Graph) -> Result<Parameters<f32>> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, "cannot read", e))?;
    read(path, &bytes, graph, false)
}

/// The same of a part of the network that a file, `bytes` of `path`, is of: it may hold other parameters as well.
pub fn part_of_weights(path: &Path, bytes: &[u8], graph: &Graph) -> Result<Parameters<f32>> {
    read(path, bytes, graph, true)
}

fn read(path: &Path, bytes: &[u8], graph: &Graph, others: bool) -> Result<Parameters<f32>> {
    let file = parse(path, bytes)?;
    let mut parameters = Parameters::<f32>::zeros(graph)?;
    if !others {
        expect_count(path, &file, parameters.layout().len())?;
    }
    read_into(path, &file, "", &mut parameters)?;
    let broken = |place: &&Parameter| parameters.values()[place.range.clone()].iter().any(|v| !v.is_finite());
    match parameters.layout().iter().find(broken) {
        Some(place) => Err(Error::run(path, format!("'{}' holds a value that is not finite", place.name))),
        None => Ok(parameters),
    }
}

/// Which program wrote a file, as its metadata.
pub(super) fn program() -> HashMap<String, String> {
    HashMap::from([("program".to_string(), format!("crossrx {}", env!("CARGO_PKG_VERSION")))])
}

pub(super) fn cannot_lay_out(path: &Path, error: safetensors::SafeTensorError) -> Error {
    match error {
        safetensors::SafeTensorError::IoError(e) => Error::io(path, "cannot write", e),
        e => Error::run(path, format!("cannot lay out the tensors: {e}")),
    }
}

/// Values that lie as `layout` says, a tensor a parameter, each name after `prefix`.
pub(super) fn tensors<'v>(
    prefix: &str,
    layout: &[Parameter],
    values: &'v [f32],
) -> Result<Vec<(String, TensorView<'v>)>, safetensors::SafeTensorError> {
    let view = |p: &Parameter| {
        let bytes = bytemuck::cast_slice(&values[p.range.clone()]);
        TensorView::new(Dtype::F32, p.shape.to_vec(), bytes).map(|view| (format!("{prefix}{}", p.name), view))
    };
    layout.iter().map(view).collect()
}

pub(super) fn parse<'b>(path: &Path, bytes: &'b [u8]) -> Result<SafeTensors<'b>> {
    SafeTensors::deserialize(bytes).map_err(|e| Error::run(path, format!("not safetensors: {e}")))
}

pub(super) fn expect_count(path: &Path, file: &SafeTensors<'_>, tensors: usize) -> Result<()> {
    match file.len() {
        n if n == tensors => Ok(()),
        n => Err(Error::run(path, format!("{n} tensors for a network of {tensors}"))),
    }
}

/// Fills `parameters` with the tensors that are named after `prefix`.
pub(super) fn read_into(
    path: &Path,
    file: &SafeTensors<'_>,
    prefix: &str,
    parameters: &mut Parameters<f32>,
) -> Result<()> {
    for place in parameters.clone_layout().iter() {
        let name = format!("{prefix}{}", place.name);
        let tensor = file.tensor(&name).map_err(|_| Error::run(path, format!("lacks '{name}'")))?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != place.shape {
            let what =
                format!("'{name}' is {} {:?}, not F32 {:?}", tensor.dtype(), tensor.shape(), place.shape);
            return Err(Error::run(path, what));
        }
        let values = &mut parameters.values_mut()[place.range.clone()];
        for (value, b) in values.iter_mut().zip(tensor.data().chunks_exact(4)) {
            *value = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        }
    }
    Ok(())
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

        let mut larger = graph(5);
        let space = larger.space("others");
        let x = larger.input(space, 2);
        larger.add("m", Linear::new(2, 1, Activation::Identity), &[x]).unwrap();
        save_weights(&path, &Parameters::<f32>::start(&larger, 3).unwrap()).unwrap();
        assert!(load_weights(&path, &graph(5)).is_err());
        assert_eq!(
            part_of_weights(&path, &std::fs::read(&path).unwrap(), &graph(5)).unwrap().values().len(),
            parameters.values().len()
        );
    }
}
