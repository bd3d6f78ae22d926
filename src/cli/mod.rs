//! One file a subcommand: raw arguments, checked, become one call into the rooms below.
