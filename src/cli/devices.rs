use super::device::{DeviceArgs, Wish};
use super::json::write_json;
use super::say::say;
use crate::check::{Outcome, check_device};
use crate::comm::Serial;
use crate::device::Device;
use crate::device::cuda::Precision;
use crate::device::cuda::devices::{self, Gpu, Library};
use crate::{Error, Result};
use clap::ValueEnum;
use std::path::PathBuf;

/// List the GPUs here and the libraries they are used with, or check what a GPU computes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Holds every op, whole networks, batches and ten training steps on a device against the processors, in every precision.
    #[arg(long)]
    check: bool,
    /// What to check: a GPU, or, very slowly, its kernels on the processors (cuda-on-host).
    #[arg(long, value_name = "DEVICE", default_value = "cuda", requires = "check")]
    device: Wish,
    /// Only in these numbers: fp32, tf32 or bf16; may be repeated.
    #[arg(long, value_name = "P", requires = "check")]
    precision: Vec<Precision>,
    /// Writes what was compared as JSON, too: a list with one object a case.
    #[arg(long, value_name = "FILE", requires = "check")]
    json: Option<PathBuf>,
}

/// Prints the table of devices, or why there is none; both are answers. Or checks one.
pub fn run(args: Args) -> Result<()> {
    if args.check {
        return check(args);
    }
    let (gpus, [major, minor]) = match devices::list().and_then(|gpus| Ok((gpus, devices::driver_version()?)))
    {
        Ok(found) => found,
        Err(why) => return say(format!("no GPU is used, and --device auto is --device cpu: {why}\n")),
    };
    let free: Vec<Result<usize>> = gpus.iter().map(|gpu| devices::free_memory(gpu.index)).collect();
    say(format!("CUDA driver for CUDA {major}.{minor}\n") + &gpu_table(&gpus, &free))?;
    say(library_lines(&devices::libraries()?))
}

/// Prints a line a case, and fails, naming those that did, if any failed.
fn check(Args { device, precision, json, .. }: Args) -> Result<()> {
    let Device::Cuda(stream) = (DeviceArgs { device }).open(&Serial, Precision::Fp32)? else {
        return Err(Error::Request("processors are what a device is checked against: --device cuda".into()));
    };
    say(format!("{} against the processors\n", stream.name()) + &Outcome::header())?;
    let mut outcomes = Vec::new();
    let precisions = if precision.is_empty() { Precision::value_variants() } else { &precision };
    check_device(&stream, precisions, &mut |outcome| {
        outcomes.push(outcome.clone());
        say(outcome)
    })?;
    write_json(json, &outcomes)?;
    verdict(&outcomes)
}

fn verdict(outcomes: &[Outcome]) -> Result<()> {
    let failed = outcomes.iter().filter(|outcome| !outcome.passed);
    let failed: Vec<String> =
        failed.map(|outcome| format!("{} ({:?})", outcome.case, outcome.precision)).collect();
    if failed.is_empty() {
        return say(format!("all {} agree\n", outcomes.len()));
    }
    let (count, all) = (failed.len(), outcomes.len());
    Err(Error::Device(format!("{count} of {all} cases failed: {}", failed.join("; "))))
}

const GIB: f64 = (1u64 << 30) as f64;

fn gpu_table(gpus: &[Gpu], free: &[Result<usize>]) -> String {
    if gpus.is_empty() {
        return "no GPU that this process sees (CUDA_VISIBLE_DEVICES)\n".into();
    }
    let width = gpus.iter().map(|gpu| gpu.name.len()).max().unwrap_or(0).max(4);
    let mut text = format!(
        "{:>3}  {:width$}  {:8}  {:>3}  {:>10}  {:>10}\n",
        "GPU", "name", "arch", "SMs", "memory", "free"
    );
    for (gpu, free) in gpus.iter().zip(free) {
        let free =
            free.as_ref().map_or_else(|_| "in use".into(), |&bytes| format!("{:.1} GiB", bytes as f64 / GIB));
        let memory = format!("{:.1} GiB", gpu.memory as f64 / GIB);
        let Gpu { index, name, architecture, multiprocessors, .. } = gpu;
        text += &format!(
            "{index:>3}  {name:width$}  {architecture:8}  {multiprocessors:>3}  {memory:>10}  {free:>10}\n"
        );
    }
    text
}

fn library_lines(libraries: &[Library]) -> String {
    let line = |library: &Library| match &library.found {
        Ok((version, Some(file))) => format!("{} {version}  {}\n", library.name, file.display()),
        Ok((version, None)) => format!("{} {version}\n", library.name),
        Err(why) => format!("{} is missing: {why}\n", library.name),
    };
    libraries.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_that_failed_are_named() {
        let outcome = |case: &str, passed| Outcome {
            case: case.into(),
            precision: Precision::Tf32,
            largest: Some(0.5),
            allowed: 0.1,
            remark: String::new(),
            passed,
        };
        verdict(&[outcome("add", true)]).unwrap();
        let outcomes = [outcome("add", true), outcome("gather", false), outcome("huber", false)];
        let fault = verdict(&outcomes).unwrap_err().to_string();
        assert_eq!(fault, "device: 2 of 3 cases failed: gather (Tf32); huber (Tf32)");
    }

    #[test]
    fn the_table_has_a_line_for_each_gpu_and_library() {
        let gpu = |index, name: &str| Gpu {
            index,
            name: name.into(),
            identity: name.into(),
            architecture: "sm_90".into(),
            multiprocessors: 132,
            memory: 80 << 30,
        };
        let gpus = [gpu(0, "NVIDIA H100 80GB HBM3"), gpu(1, "NVIDIA H200")];
        let table = gpu_table(&gpus, &[Ok(79 << 30), Err(Error::Device("taken".into()))]);
        let expected = "\
GPU  name                   arch      SMs      memory        free
  0  NVIDIA H100 80GB HBM3  sm_90     132    80.0 GiB    79.0 GiB
  1  NVIDIA H200            sm_90     132    80.0 GiB      in use
";
        assert_eq!(table, expected);
        assert!(gpu_table(&[], &[]).starts_with("no GPU"));
        let lines = library_lines(&[
            Library { name: "NVRTC", found: Ok(("12.9".into(), Some("/lib/libnvrtc.so.12".into()))) },
            Library { name: "NCCL", found: Err(Error::Device("not found".into())) },
        ]);
        assert_eq!(lines, "NVRTC 12.9  /lib/libnvrtc.so.12\nNCCL is missing: device: not found\n");
    }
}
