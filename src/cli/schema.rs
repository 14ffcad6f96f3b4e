//! `explr schema`: the JSON Schema of configuration files.

use clap::Args as ClapArgs;
use explr::Exit;

/// Editors that know YAML complete keys and underline mistakes with it: begin
/// a file with `# yaml-language-server: $schema=./explr.schema.json`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Write it to this file instead.
    #[arg(long, short, value_name = "FILE")]
    output: Option<std::path::PathBuf>,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<Exit> {
    use anyhow::Context;
    let text = explr::config::schema_text();
    match &args.output {
        Some(path) => {
            std::fs::write(path, text)
                .with_context(|| format!("can't write `{}`", path.display()))?;
        }
        None => super::runs::emit(&text)?,
    }
    Ok(Exit::Ok)
}
