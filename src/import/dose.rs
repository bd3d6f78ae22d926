//! The unit of a dose column, and log10 molar made of it.

use super::table::Table;
use crate::{Error, Result};
use std::str::FromStr;

/// The unit of a dose column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum DoseUnit {
    /// This many molar.
    Molar(f64),
    /// log10 molar.
    Log10,
}

impl FromStr for DoseUnit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "M" => Ok(DoseUnit::Molar(1.0)),
            "mM" => Ok(DoseUnit::Molar(1e-3)),
            "uM" | "µM" | "μM" => Ok(DoseUnit::Molar(1e-6)),
            "nM" => Ok(DoseUnit::Molar(1e-9)),
            "pM" => Ok(DoseUnit::Molar(1e-12)),
            "log10M" => Ok(DoseUnit::Log10),
            other => Err(Error::Request(format!("dose unit {other:?}: use M, mM, uM, nM, pM or log10M"))),
        }
    }
}

impl DoseUnit {
    /// A dose as log10 molar; `None` where it is missing or not positive.
    pub fn log10_molar(self, dose: f32) -> Option<f32> {
        match self {
            DoseUnit::Molar(one) if dose > 0.0 => Some((f64::from(dose) * one).log10() as f32),
            DoseUnit::Log10 if !dose.is_nan() => Some(dose),
            _ => None,
        }
    }
}

/// Reads `COLUMN:UNIT`.
pub(super) fn dose_column(text: &str, table: &Table) -> Result<(usize, DoseUnit)> {
    let Some((column, unit)) = text.rsplit_once(':') else {
        return Err(Error::Request(format!("--dose {text:?}: write COLUMN:UNIT, such as conc_uM:uM")));
    };
    Ok((table.column(column)?, unit.parse()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doses_become_log10_molar() {
        let unit = |u: &str| u.parse::<DoseUnit>().unwrap();
        assert_eq!(unit("uM").log10_molar(1.0), Some(-6.0));
        assert_eq!(unit("nM").log10_molar(100.0), Some(-7.0));
        assert_eq!(unit("log10M").log10_molar(-4.5), Some(-4.5));
        assert_eq!(unit("uM").log10_molar(0.0), None);
        assert_eq!(unit("M").log10_molar(f32::NAN), None);
        assert!("mg/ml".parse::<DoseUnit>().is_err());
    }
}
