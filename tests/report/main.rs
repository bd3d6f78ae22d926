//! The tables, the page and the text made from a small run whose numbers can be
//! checked by hand.

mod browser;
mod page;
mod tables;
mod tree;
