//! `nines check`: is the system file right?

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use nines_system::{Mistake, Mistakes};
use serde_json::{Value, json};

use crate::terminal::tell;
use crate::{EXIT_FILE, summary};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The system file
    file: PathBuf,
    /// Print the file with every default filled in
    #[arg(long, conflicts_with = "json")]
    explain: bool,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let path = args.file.display().to_string();
    let mut out = anstream::stdout().lock();
    let read = std::fs::read_to_string(&args.file);
    let (answer, code) = match read.as_ref().map(|text| nines_system::parse_with_warnings(&path, text)) {
        Ok(Ok((system, warnings))) => {
            if !args.json {
                if !warnings.is_empty() {
                    tell(warnings.render(true));
                }
                let explained = args.explain.then(|| nines_system::explain(&system));
                write!(out, "{}", explained.unwrap_or_else(|| summary::text(&system)))?;
            }
            let warnings = listed(&warnings);
            let summary = summary::json(&system);
            (
                json!({ "ok": true, "mistakes": [], "warnings": warnings, "summary": summary }),
                ExitCode::SUCCESS,
            )
        }
        Ok(Err(mistakes)) => {
            if !args.json {
                super::tell_all(&mistakes);
            }
            (json!({ "ok": false, "mistakes": listed(&mistakes) }), EXIT_FILE.into())
        }
        Err(error) => {
            let message = format!("can't read {path}: {error}");
            if !args.json {
                tell(format_args!("nines: {message}"));
            }
            (json!({ "ok": false, "mistakes": [{ "message": message }] }), EXIT_FILE.into())
        }
    };
    if args.json {
        writeln!(out, "{answer:#}")?;
    }
    Ok(code)
}

fn listed(mistakes: &Mistakes) -> Vec<Value> {
    let one = |mistake: &Mistake| {
        let (line, column) = mistakes.position(mistake);
        json!({ "line": line, "column": column, "message": mistake.title, "help": mistake.help.join("; ") })
    };
    mistakes.iter().map(one).collect()
}
