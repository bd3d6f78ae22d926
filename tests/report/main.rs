//! The tables, the pages and the text made from small runs whose numbers can be
//! checked by hand.

mod browser;
mod latent;
mod page;
mod pretraining;
mod rivals;
mod tables;
mod tree;
