use crate::Result;
use crate::comm::{Communicator, agree};
use crate::device::Device;
use crate::device::cuda::{HostDriver, Stream, cache_folder};
use std::rc::Rc;

/// What every command takes that computes.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct DeviceArgs {
    /// What to compute on; `crossrx devices` lists what there is.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: Wish,
}

/// What a user may wish for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Wish {
    /// A GPU where there is one that can be used, else the processors
    #[default]
    Auto,
    /// The processors
    Cpu,
    /// A GPU, or fail
    Cuda,
    /// The kernels of a GPU on the processors, to look into them; very slow
    #[value(hide = true)]
    CudaOnHost,
}

impl DeviceArgs {
    /// Opens what was asked for; every rank of `world` calls this, and rank 0 says what was chosen and why.
    pub fn open(&self, world: &dyn Communicator) -> Result<Device> {
        match self.device {
            Wish::Cpu => Ok(Device::Cpu),
            Wish::CudaOnHost => {
                let driver = agree(world, HostDriver::new(&cache_folder()))?;
                Ok(Device::Cuda(Stream::new(Rc::new(driver))))
            }
            Wish::Auto | Wish::Cuda => Ok(Device::Cpu),
        }
    }
}
