//! Other programs read a store.

use crate::small::Small;
use std::io::Write;

// The interpreter that has h5py, if any: `$CROSSRX_PYTHON`, else `python3`.
#[test]
fn h5py_and_h5dump_read_a_store() {
    let Small { path, .. } = &Small::new();
    let python = std::env::var("CROSSRX_PYTHON").unwrap_or_else(|_| "python3".into());
    let run = |code: &str| std::process::Command::new(&python).args(["-c", code]).arg(path).output();
    if run("import h5py, numpy").is_ok_and(|o| o.status.success()) {
        let script = r#"
import sys, h5py, numpy as np
f = h5py.File(sys.argv[1])
assert f.attrs['format'].decode() == 'crossrx store' and f.attrs['schema_version'] == 1
assert f['drugs/id'].asstr()[()].tolist() == ['d0', 'd1', 'Prüfstoff']
t = f['features/drug/ecfp4']
bits = np.unpackbits(t['values'][()], axis=1, bitorder='little')[:, :t.attrs['columns']]
assert bits[0].tolist() == [1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0] and bits[1].sum() == 1
a = f['datasets/A']
assert a['endpoint/ic50'][()].tolist() == [1, 2, 3, 1, 2, 6] and a['endpoint/ic50'].attrs['units'].decode() == 'log10 M'
assert np.isnan(a['endpoint/auc'][2]) and a['drug'].dtype == 'uint32' and a['row'].dtype == 'uint64'
assert a['label/site/value'].asstr()[()][a['label/site/code'][()]].tolist()[:2] == ['lung', 'skin']
assert [c.decode() for c in a.attrs['columns']] == ['source', 'auc', 'ic50']
assert a['drug'].compression == 'gzip' and a['drug'].shuffle and a['drug'].fletcher32
assert f['truth/best_r2'][0, 1] == 0.5
"#;
        let out = run(script).unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    } else {
        // Not println!, which a test that passes does not show.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: {python} cannot import h5py (set CROSSRX_PYTHON to one that can)"
        );
    }
    match std::process::Command::new("h5dump").args(["-d", "/datasets/A/endpoint/ic50"]).arg(path).output() {
        Ok(out) => {
            let text = String::from_utf8_lossy(&out.stdout).into_owned();
            assert!(text.contains("H5T_IEEE_F32LE") && text.contains("1, 2, 3, 1, 2, 6"), "{text}");
        }
        Err(_) => {
            let _ = writeln!(std::io::stderr(), "skipped: h5dump is not installed");
        }
    }
}
