use super::{Communicator, Tag};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A group of one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Serial;

impl Communicator for Serial {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn barrier(&self) {}

    fn broadcast(&self, _root: usize, _bytes: &mut Vec<u8>) {}

    fn all_gather(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        vec![bytes.to_vec()]
    }

    fn exchange(&self, partner: usize, _send: &[f32], _receive: &mut [f32]) {
        unreachable!("rank {partner} in a group of one");
    }

    fn send(&self, to: usize, _tag: Tag, _bytes: &[u8]) {
        unreachable!("rank {to} in a group of one");
    }

    fn receive(&self, from: Option<usize>, _tag: Tag) -> (usize, Vec<u8>) {
        unreachable!("a message from {from:?} in a group of one");
    }

    fn try_receive(&self, _tag: Tag) -> Option<(usize, Vec<u8>)> {
        None
    }

    fn split(&self, _colour: usize) -> Box<dyn Communicator> {
        Box::new(Serial)
    }

    fn node(&self) -> Box<dyn Communicator> {
        Box::new(Serial)
    }

    fn library_sum(&self, values: &[f32], sum: &mut [f32]) {
        sum.copy_from_slice(values);
    }

    fn for_thread(&self, _hurry: Arc<AtomicBool>) -> Option<Box<dyn Communicator + Send>> {
        None
    }

    fn abort(&self, code: i32) -> ! {
        std::process::exit(code)
    }
}
