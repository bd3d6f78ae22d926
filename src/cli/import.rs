use super::say::say;
use crate::Result;
use crate::import::labels::{self, LabelMap};
use crate::import::long::{FeatureMap, ResponseMap};
use crate::import::tcga::{self, Measure, TumourMap};
use crate::import::{MatchReport, improve, long};
use crate::store::{Entity, StoreWriter};
use crate::{Error, cli};
use clap::ArgGroup;
use std::path::PathBuf;

/// Read public file formats into a store.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    format: Format,
}

#[derive(Debug, clap::Subcommand)]
enum Format {
    /// A complete IMPROVE raw_data tree: x_data, y_data, splits
    Improve(Improve),
    /// One table more for a store: responses, or features of drugs or samples
    ///
    /// The table may be CSV or TSV, gzipped or not. KEY is a column of the table, or
    /// a template such as COSMIC-{cosmic_id}. It is looked up among the ids of the
    /// store; with @COLUMN, among a text column of the store, where case and
    /// punctuation do not matter. Rows that join nothing are counted and left out.
    ///
    /// Responses, one measurement a row:
    ///   crossrx import table --store csa.h5 --response dose.tsv.gz --dataset CCLE-dose
    ///     --drug drug_name@drug_name --sample 'COSMIC-{cosmic_id}'
    ///     --dose conc_uM:uM --endpoint viability
    ///
    /// Features, one drug or sample a row:
    ///   crossrx import table --store csa.h5 --features segments.csv --entity sample
    ///     --name segments --id 'COSMIC-{COSMIC_ID}' --ignore TISSUE_FACTOR
    #[command(verbatim_doc_comment)]
    Table(Box<Table>),
    /// Expression of TCGA tumours, added to a store as samples with one feature table
    ///
    /// A FILE is CSV or TSV, gzipped or not, with a row a tumour and a column a gene,
    /// or the other way round: barcodes such as TCGA-OR-A5J1-01A in the first column
    /// or in the header tell. Files are stacked. Values become log2(x + 1). Genes are
    /// matched by symbol (TP53, or TP53|7157) with the columns of a feature table of
    /// the store, where case does not matter, and those that are none are left out.
    /// Normal tissue (sample types from 10 on) is left out and counted.
    ///
    /// Tumours of three projects, which become the classes ACC, UCS and UVM:
    ///   crossrx import tcga --store csa.h5 --label tumour-type
    ///     tcga_ACC_rsem.tsv.gz tcga_UCS_rsem.tsv.gz tcga_UVM_rsem.tsv.gz
    #[command(verbatim_doc_comment)]
    Tcga(Tcga),
    /// Labels of samples, such as primary site or histology: columns of a table
    ///
    /// Each column becomes a feature table of bits: a row a sample, a column a class.
    /// Rows that join nothing, and empty labels, are counted and left out. KEY is as
    /// in crossrx import table.
    ///
    /// Site and histology of cell lines, as the label tables site and histology:
    ///   crossrx import labels --store csa.h5 cell_lines.tsv --id 'COSMIC-{cosmic_id}'
    ///     --column Site --column Histology
    ///
    /// A clinical table of one row a patient, TCGA-OR-A5J1, for all samples of each:
    ///   crossrx import labels --store csa.h5 clinical.tsv --id bcr_patient_barcode
    ///     --prefix --column tumor_stage --name stage
    #[command(verbatim_doc_comment)]
    Labels(Labels),
}

#[derive(Debug, clap::Args)]
struct Improve {
    /// The folder that holds x_data, y_data and splits
    #[arg(long, value_name = "DIR")]
    raw_data: PathBuf,
    /// The store to write
    #[arg(long, value_name = "STORE")]
    out: PathBuf,
    /// Replace a store that is there already
    #[arg(long)]
    force: bool,
    /// Column of response.tsv that holds doses, with its unit: M, mM, uM, nM, pM or log10M
    #[arg(long, value_name = "COLUMN:UNIT")]
    dose: Option<String>,
}

#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("table").args(["response", "features"]).required(true))]
struct Table {
    /// The store to add to
    #[arg(long, value_name = "STORE")]
    store: PathBuf,
    /// A table of responses
    #[arg(long, value_name = "FILE", requires_all = ["dataset", "drug", "sample", "endpoint"])]
    response: Option<PathBuf>,
    /// Name of the new dataset; with {column} in it, rows go to one dataset each name
    #[arg(long, value_name = "NAME", requires = "response")]
    dataset: Option<String>,
    /// Drug of a row
    #[arg(long, value_name = "KEY[@COLUMN]", requires = "response")]
    drug: Option<String>,
    /// Sample of a row
    #[arg(long, value_name = "KEY[@COLUMN]", requires = "response")]
    sample: Option<String>,
    /// Dose of a row; units: M, mM, uM, nM, pM or log10M
    #[arg(long, value_name = "COLUMN:UNIT", requires = "response")]
    dose: Option<String>,
    /// What was measured; may be repeated
    #[arg(long, value_name = "[NAME=]COLUMN[:UNITS]", requires = "response")]
    endpoint: Vec<String>,
    /// Text column to keep with the pairs; may be repeated
    #[arg(long, value_name = "COLUMN", requires = "response")]
    label: Vec<String>,
    /// A table of features
    #[arg(long, value_name = "FILE", requires_all = ["entity", "name"])]
    features: Option<PathBuf>,
    /// Whose features they are: drug or sample
    #[arg(long, value_name = "ENTITY", value_parser = entity, requires = "features")]
    entity: Option<Entity>,
    /// Name of the new feature table
    #[arg(long, value_name = "NAME", requires = "features")]
    name: Option<String>,
    /// Unit of its values
    #[arg(long, value_name = "UNITS", default_value = "1", requires = "features")]
    units: String,
    /// Id of a row; the first column if not given
    #[arg(long, value_name = "KEY[@COLUMN]", requires = "features")]
    id: Option<String>,
    /// Column to leave out; may be repeated
    #[arg(long, value_name = "COLUMN", requires = "features")]
    ignore: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct Tcga {
    /// The store to add to
    #[arg(long, value_name = "STORE")]
    store: PathBuf,
    /// Tables of tumours
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Name of the new feature table
    #[arg(long, value_name = "NAME", default_value = "tcga")]
    name: String,
    /// Sample feature table whose columns are the genes to keep; expression, where the store has it
    #[arg(long, value_name = "TABLE")]
    genes_of: Option<String>,
    /// Keep the genes that are no column of that table too
    #[arg(long)]
    all_genes: bool,
    /// What the values are: normalised RSEM counts, TPM, or logarithms, which are kept as they are
    #[arg(long, value_enum, default_value = "rsem")]
    measure: Measure,
    /// Name of a new label table; the class of a tumour is the project that its file is named after
    #[arg(long, value_name = "NAME")]
    label: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Labels {
    /// The store to add to
    #[arg(long, value_name = "STORE")]
    store: PathBuf,
    /// The table of labels
    #[arg(value_name = "TABLE")]
    table: PathBuf,
    /// Sample of a row; the first column if not given
    #[arg(long, value_name = "KEY[@COLUMN]")]
    id: Option<String>,
    /// Column of labels; may be repeated
    #[arg(long, value_name = "COLUMN", required = true)]
    column: Vec<String>,
    /// Name of the label table of the only column; else the column's own in kebab-case
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// An id means every sample whose id begins with it, up to a hyphen or its end
    #[arg(long)]
    prefix: bool,
    /// Text that means no label; may be repeated
    #[arg(long, value_name = "TEXT")]
    missing: Vec<String>,
}

/// Imports and prints the match report.
pub fn run(args: Args) -> Result<()> {
    let command = cli::command_line();
    let report = match args.format {
        Format::Improve(a) => {
            let begin = if a.force { StoreWriter::replace } else { StoreWriter::create };
            improve::import_into(begin(&a.out, &command)?, &a.raw_data, a.dose.as_deref())?
        }
        Format::Table(a) => add(*a, &command)?,
        Format::Tcga(a) => {
            let Tcga { store, files, name, genes_of, all_genes, measure, label } = a;
            let map = TumourMap { name, genes_of, all_genes, measure, label };
            tcga::add_tumours(&store, &files, &map, &command)?
        }
        Format::Labels(a) => {
            let Labels { store, table, id, column, name, prefix, missing } = a;
            let map = LabelMap { id, columns: column, name, prefix, missing };
            labels::add_labels(&store, &table, &map, &command)?
        }
    };
    say(report)
}

fn add(a: Table, command: &str) -> Result<MatchReport> {
    if let Some(table) = a.response {
        let map = ResponseMap {
            dataset: a.dataset.unwrap_or_default(),
            drug: a.drug.unwrap_or_default(),
            sample: a.sample.unwrap_or_default(),
            dose: a.dose,
            endpoints: a.endpoint,
            labels: a.label,
        };
        return long::add_response(&a.store, &table, &map, command);
    }
    let (Some(table), Some(entity)) = (a.features, a.entity) else {
        return Err(Error::Request("give --response FILE or --features FILE".into()));
    };
    let map =
        FeatureMap { entity, name: a.name.unwrap_or_default(), units: a.units, id: a.id, ignore: a.ignore };
    long::add_features(&a.store, &table, &map, command)
}

fn entity(text: &str) -> Result<Entity, String> {
    Entity::ALL.into_iter().find(|e| e.name() == text).ok_or_else(|| "use drug or sample".into())
}
