use crate::comm::{Communicator, agree, same, same_file, set_timeout};
use crate::deck::PretrainDeck;
use crate::device::Device;
use crate::store::{Entity, Store};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// The deck of a pretraining joined with the store that it names.
pub struct PretrainCorpus {
    /// The deck.
    pub deck: PretrainDeck,
    /// Where it came from, for messages.
    pub deck_path: PathBuf,
    /// The store.
    pub store: Store,
    /// [`Store::digest`] of it.
    pub digest: String,
    /// What this rank computes on.
    pub device: Device,
}

impl PretrainCorpus {
    /// Opens the store of `deck` and checks that every table that it names is there. Every rank of `world` calls
    /// this.
    pub fn open(
        deck: Result<PretrainDeck>,
        deck_path: &Path,
        world: &dyn Communicator,
        device: Device,
    ) -> Result<Self> {
        let (deck, text) = agree(world, deck.and_then(|deck| deck.to_toml().map(|text| (deck, text))))?;
        same(world, "the deck", &text)?;
        set_timeout(deck.comm.timeout_seconds);
        let check = || {
            let store = Store::open(&deck.store.path)?;
            for (key, names) in [("data.studies", &deck.data.studies), ("data.label", &deck.data.label)] {
                for name in names {
                    let found = store.feature_named(Entity::Sample, name);
                    found.map_err(|e| Error::deck(deck_path, key, e.to_string()))?;
                }
            }
            Ok(store)
        };
        let store = agree(world, check())?;
        let file = std::fs::metadata(store.path()).map_err(|e| Error::io(store.path(), "cannot look at", e));
        let digest = same_file(world, "the content of the store", file, |_| store.digest())?;
        Ok(Self { deck, deck_path: deck_path.into(), store, digest, device })
    }

    /// An error about a key of the deck.
    pub(super) fn fault(&self, key: &str, error: &Error) -> Error {
        Error::deck(&self.deck_path, key, error.to_string())
    }
}
