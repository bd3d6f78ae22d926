use crate::Result;
use crate::device::cuda::{Memory, Storage, Stream};
use crate::graph::Graph;
use crate::op::{CudaBits, CudaMap, CudaRows, CudaSegments, Rows, Segments, Tensor};

/// Rows on a device, with the memory that holds them.
pub struct Uploaded {
    /// The rows.
    pub rows: CudaRows,
    _memory: Vec<Memory>,
}

/// Lays `rows` out on a device, with so many rows of padding in each space.
pub fn upload_rows(stream: &Stream, graph: &Graph, rows: &Rows, padding: usize) -> Result<Uploaded> {
    let mut memory = Vec::new();
    let mut hold = |values: &[u32]| -> Result<_> {
        let held = stream.holding(values)?;
        let at = held.at();
        memory.push(held);
        Ok(at)
    };
    let padded: Vec<usize> = rows.count.iter().map(|n| n + padding).collect();
    let pad = |list: &[u32], length: usize, with: u32| -> Vec<u32> {
        list.iter().copied().chain(std::iter::repeat(with)).take(length).collect()
    };
    let segments = |lists: &Segments, padded: usize, hold: &mut dyn FnMut(&[u32]) -> Result<_>| {
        let start = pad(&lists.start, padded + 1, lists.order.len() as u32);
        Ok(CudaSegments { start: hold(&start)?, order: hold(&lists.order)? })
    };
    let mut number = Vec::new();
    for (list, &n) in rows.number.iter().zip(&padded) {
        number.push(Some(hold(&pad(list, n, 0))?));
    }
    let mut maps = Vec::new();
    for (map, ends) in rows.maps.iter().zip(graph.maps()) {
        let index = hold(&pad(&map.index, padded[ends.from.0], 0))?;
        let segments = segments(&map.segments, padded[ends.to.0], &mut hold)?;
        maps.push(Some(CudaMap { index, segments }));
    }
    let mut bits = Vec::new();
    for (table, ends) in rows.bits.iter().zip(graph.bit_tables()) {
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
        bits.push(Some(CudaBits {
            ones: segments(&ones, n + 1, &mut hold)?,
            by_column: segments(&by_column, ends.columns, &mut hold)?,
            entity: hold(&pad(&entity, padded[ends.space.0], 0))?,
            row: hold(&row)?,
        }));
    }
    Ok(Uploaded { rows: CudaRows { count: padded, number, maps, bits }, _memory: memory })
}

/// The first so many rows of a tensor, in single precision.
pub fn download(stream: &Stream, tensor: Tensor, rows: usize) -> Result<Vec<f32>> {
    let bytes = tensor.length() * tensor.storage.bytes();
    let all = stream.zeros(bytes)?;
    stream.copy(all.at(), tensor.at, bytes)?;
    let wide: Vec<f32> = match tensor.storage {
        Storage::F32 => {
            let mut values = vec![0.0; tensor.length()];
            all.download(0, &mut values)?;
            values
        }
        Storage::Bf16 => {
            let mut bits = vec![0u16; tensor.length()];
            all.download(0, &mut bits)?;
            bits.iter().map(|&b| f32::from_bits(u32::from(b) << 16)).collect()
        }
    };
    let stride = tensor.stride();
    Ok((0..rows).flat_map(|row| wide[row * stride..][..tensor.columns].to_vec()).collect())
}

/// Feeds the first rows of a tensor on the device; the others become zero.
pub fn feed(stream: &Stream, tensor: Tensor, values: &[f32]) -> Result<()> {
    let (stride, columns) = (tensor.stride(), tensor.columns);
    let mut all = vec![0.0f32; tensor.length()];
    for (row, values) in values.chunks_exact(columns).enumerate() {
        all[row * stride..][..columns].copy_from_slice(values);
    }
    let held = match tensor.storage {
        Storage::F32 => stream.holding(&all)?,
        Storage::Bf16 => {
            let bits = all.iter().map(|v| ((v.to_bits() + 0x8000) >> 16) as u16);
            stream.holding(&bits.collect::<Vec<_>>())?
        }
    };
    stream.copy(tensor.at, held.at(), tensor.length() * tensor.storage.bytes())
}
