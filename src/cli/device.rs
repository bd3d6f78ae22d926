use super::node_gpus::NodeGpus;
use super::placement::{self, OwnGpu};
use crate::comm::{Communicator, agree};
use crate::device::Device;
use crate::device::cuda::{HostDriver, Precision, Stream, cache_folder, devices};
use crate::op::prove;
use crate::report::phrase::count;
use crate::{Error, Result};
use std::rc::Rc;

/// What every command takes that computes.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct DeviceArgs {
    /// What to compute on; `crossrx devices` lists what there is.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub(super) device: Wish,
}

/// What a user may wish for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Wish {
    /// A GPU a rank where there are GPUs that can be used, else the processors
    #[default]
    Auto,
    /// The processors
    Cpu,
    /// A GPU a rank, or fail
    Cuda,
    /// The kernels of a GPU on the processors, to look into them; very slow
    #[value(hide = true)]
    CudaOnHost,
}

/// Most ranks that share a GPU unasked.
const SHARING: usize = 4;

impl DeviceArgs {
    /// [`Self::open`], and rank 0 says where every rank sits.
    pub fn open_on_ranks(&self, world: &dyn Communicator, precision: Precision) -> Result<Device> {
        let device = self.open(world, precision)?;
        placement::tell(world, own_gpu(world, &device))?;
        Ok(device)
    }

    /// Opens what was asked for, to compute in `precision`; every rank of `world` calls this, all of them get the same kind, and
    /// rank 0 says which and why.
    pub fn open(&self, world: &dyn Communicator, precision: Precision) -> Result<Device> {
        let speaks = world.rank() == 0;
        match self.device {
            Wish::Cpu => Ok(Device::Cpu),
            Wish::CudaOnHost => {
                let none = || Error::Device("no folder to build kernels in: set CROSSRX_CACHE".into());
                let driver = cache_folder().ok_or_else(none).and_then(|folder| HostDriver::new(&folder));
                let driver = agree(world, driver)?;
                Ok(Device::Cuda(Stream::new(Rc::new(driver))))
            }
            Wish::Cuda => {
                let stream = agree(world, open_gpu(world, precision, usize::MAX))?;
                tell(world, &stream);
                Ok(Device::Cuda(stream))
            }
            Wish::Auto => {
                let opened = open_gpu(world, precision, SHARING);
                // The line that tells of it says what it is about.
                let bare = |error: &Error| match error {
                    Error::Device(what) => what.clone(),
                    other => other.to_string(),
                };
                let fault = opened.as_ref().err().map(bare).unwrap_or_default();
                let faults = world.all_gather(fault.as_bytes());
                match (opened, faults.iter().find(|fault| !fault.is_empty())) {
                    (Ok(stream), None) => {
                        tell(world, &stream);
                        Ok(Device::Cuda(stream))
                    }
                    (_, fault) => {
                        if speaks {
                            let why = String::from_utf8_lossy(fault.map_or(&[], Vec::as_slice)).into_owned();
                            log::info!("computing on processors: {why}");
                        }
                        Ok(Device::Cpu)
                    }
                }
            }
        }
    }
}

/// Which GPU of its host this is.
fn own_gpu(world: &dyn Communicator, device: &Device) -> Option<OwnGpu> {
    let Device::Cuda(stream) = device else { return None };
    let gpus = devices::list().unwrap_or_default();
    let index = NodeGpus::of(world.node().as_ref(), &gpus).own()?;
    let (name, identity) = (stream.name(), stream.identity().unwrap_or_default());
    Some(OwnGpu { index, seen: gpus.len(), name, identity })
}

/// The GPU of this rank: those of a host are dealt to the ranks that see them, in turn. Fails where there is none, or where
/// what is needed to use it is missing.
fn open_gpu(world: &dyn Communicator, precision: Precision, most: usize) -> Result<Stream> {
    let listed = devices::list();
    // Collective, so it comes before anything that may fail on one rank only.
    let dealt = NodeGpus::of(world.node().as_ref(), listed.as_deref().unwrap_or_default());
    listed?;
    let Some(own) = dealt.own() else {
        let what = "the CUDA driver sees no GPU: look at CUDA_VISIBLE_DEVICES, and at what the job was given";
        return Err(Error::Device(what.into()));
    };
    if dealt.most_on_one() > most {
        let ranks = dealt.most_on_one();
        let what = format!("{ranks} ranks would share a GPU of a host; --device cuda has them do it");
        return Err(Error::Device(what));
    }
    let stream = devices::open(own)?;
    prove(&stream, precision)?;
    Ok(stream)
}

/// Says on rank 0 what it computes on, and whether ranks share GPUs.
fn tell(world: &dyn Communicator, stream: &Stream) {
    let identities = world.all_gather(stream.identity().unwrap_or_default().as_bytes());
    if world.rank() > 0 {
        return;
    }
    let mut distinct = identities.clone();
    distinct.sort();
    distinct.dedup();
    let (ranks, gpus) = (identities.len(), distinct.len());
    match ranks {
        1 => log::info!("computing on {}", stream.name()),
        _ => log::info!("computing on {}, the first being {}", count(gpus, "GPU"), stream.name()),
    }
    if gpus < ranks {
        log::warn!(
            "{ranks} ranks share {}: that fills a GPU with small networks, and slows large ones down",
            count(gpus, "GPU")
        );
    }
}
