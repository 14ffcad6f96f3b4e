use anyhow::Context;
use std::io::{IsTerminal, stdin};

/// Asks whether to remove `what`. Where nobody can answer: no.
pub(super) fn confirmed(what: &str) -> anyhow::Result<bool> {
    if !stdin().is_terminal() {
        eprintln!("add --yes to remove {what}");
        return Ok(false);
    }
    eprint!("Remove {what}? [y/N] ");
    let mut answer = String::new();
    stdin()
        .read_line(&mut answer)
        .context("the answer can't be read")?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
