//! `crossrx pretrain`: an encoder of samples, fitted on feature tables alone, whose output transfer decks take as features.

mod classes;
mod corpus;
mod embedding;
mod encoded;
mod folder;
mod network;
mod observer;
mod parts;
mod pca;
mod quality;
mod run;
mod tables;

pub use corpus::PretrainCorpus;
pub use run::pretrain;
