use super::say::say;
use crate::store::{Store, StoreSummary, verify};
use crate::{Error, Result};
use std::path::PathBuf;

/// Print what a store holds.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The store
    store: PathBuf,
    /// Read every chunk and check every checksum, index, id and value
    #[arg(long)]
    verify: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the summary of the store, once it is verified if that is asked for.
pub fn run(args: Args) -> Result<()> {
    let store = Store::open(&args.store)?;
    let verified = if args.verify { Some(verify(&store)?) } else { None };
    let summary = StoreSummary::of(&store)?;
    if args.json {
        let json = serde_json::json!({ "summary": summary, "verified": verified });
        let text = serde_json::to_string_pretty(&json).map_err(|e| Error::Request(e.to_string()))?;
        return say(text + "\n");
    }
    say(summary)?;
    if let Some(v) = verified {
        say(format!(
            "\nverified: {} ids, {} texts, {} feature values ({} missing), {} pairs, {} endpoint values, {} splits with {} rows\n",
            v.ids,
            v.texts,
            v.feature_values,
            v.feature_missing,
            v.pairs,
            v.endpoint_values,
            v.splits,
            v.split_rows
        ))?;
    }
    Ok(())
}
