//! Barcodes of The Cancer Genome Atlas, as in `TCGA-OR-A5J1-01A-11R-A29S-07`: site,
//! participant, sample type with vial, portion, plate, centre
//! (docs.gdc.cancer.gov/Encyclopedia/pages/TCGA_Barcode).

/// The barcode that `text` is, of a participant or anything below, in capitals
/// and with hyphens, which R turns into dots.
pub(super) fn parse(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let barcode: String = text.chars().map(|c| if c == '.' { '-' } else { c.to_ascii_uppercase() }).collect();
    let mut parts = barcode.split('-');
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric());
    let mut sized = |length: usize| parts.next().is_some_and(|p| p.len() == length && plain(p));
    let begins = barcode.starts_with("TCGA-") && sized(4) && sized(2) && sized(4);
    (begins && parts.all(plain)).then_some(barcode)
}

/// Whether a barcode is that of a tumour: sample types 01 to 09 are, those from
/// 10 on are normal tissue and controls. A barcode of a participant is taken for one.
pub(super) fn is_tumour(barcode: &str) -> bool {
    let code = barcode.split('-').nth(3).and_then(|sample| sample.get(..2)?.parse::<u8>().ok());
    code.is_none_or(|code| (1..10).contains(&code))
}

/// What an id of a table may be that means the sample `id`: all that stands
/// before one of its hyphens, itself, and of a barcode also the sample without
/// its vial, `TCGA-OR-A5J1-01` of `TCGA-OR-A5J1-01A`.
pub(super) fn prefixes(id: &str) -> impl Iterator<Item = &str> {
    /// Bytes up to and with the sample type.
    const SAMPLE: usize = 15;
    let before_vial = parse(id.as_bytes())
        .and_then(|_| id.as_bytes().get(SAMPLE))
        .filter(|next| next.is_ascii_alphabetic())
        .and_then(|_| id.get(..SAMPLE));
    let hyphens = id.match_indices('-').filter_map(|(at, _)| id.get(..at));
    hyphens.chain(before_vial).chain([id])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn barcodes_are_told_from_names() {
        let whole = "TCGA-OR-A5J1-01A-11R-A29S-07";
        assert_eq!(parse(whole.as_bytes()).as_deref(), Some(whole));
        assert_eq!(parse(b"tcga.or.a5j1.01").as_deref(), Some("TCGA-OR-A5J1-01"));
        assert_eq!(parse(b"TCGA-OR-A5J1").as_deref(), Some("TCGA-OR-A5J1"));
        for other in ["TCGA", "TCGA-OR-A5J", "TCGA-OR-A5J12", "TCGA-OR-A5J1-", "TARGET-10-PANLIZ", "TP53", ""]
        {
            assert_eq!(parse(other.as_bytes()), None, "{other}");
        }
        assert_eq!(parse("TCGA-ÖR-A5J1".as_bytes()), None);
    }

    #[test]
    fn normal_tissue_is_no_tumour() {
        let tumours = ["TCGA-OR-A5J1", "TCGA-OR-A5J1-01A", "TCGA-OR-A5J1-06"].map(is_tumour);
        assert_eq!(tumours, [true; 3]);
        assert_eq!(["TCGA-OR-A5J1-11A-11R", "TCGA-OR-A5J1-20"].map(is_tumour), [false; 2]);
    }

    #[test]
    fn a_sample_is_meant_by_its_participant_sample_and_vial() {
        let of = |id| prefixes(id).map(str::to_owned).collect::<Vec<_>>();
        let all = of("TCGA-OR-A5J1-01A-11R");
        for meant in ["TCGA-OR-A5J1", "TCGA-OR-A5J1-01", "TCGA-OR-A5J1-01A", "TCGA-OR-A5J1-01A-11R"] {
            assert!(all.iter().any(|p| p == meant), "{meant} is not in {all:?}");
        }
        assert!(!all.iter().any(|p| p == "TCGA-OR-A5J" || p == "TCGA-OR-A5J1-0"));
        assert_eq!(of("COSMIC-12"), ["COSMIC", "COSMIC-12"]);
        assert_eq!(of("ünicode"), ["ünicode"]);
    }
}
