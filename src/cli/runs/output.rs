use comfy_table::{Cell, Color, ContentArrangement, Table, presets};
use explr_protocol::RunState;
use std::io::{self, IsTerminal, Write};

/// Prints text. A reader that has seen enough (`| head`) is no error.
pub(crate) fn emit(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// The same for JSON.
pub(crate) fn emit_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    Ok(emit(&(serde_json::to_string_pretty(value)? + "\n"))?)
}

/// Whether colours reach eyes that want them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Coloured,
}

impl Style {
    pub(crate) fn of_stdout() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if unwanted || !io::stdout().is_terminal() {
            Self::Plain
        } else {
            Self::Coloured
        }
    }

    /// A cell about a run's state.
    pub(crate) fn state(self, state: Option<RunState>, text: String) -> Cell {
        let cell = Cell::new(text);
        if self == Self::Plain {
            return cell;
        }
        cell.fg(match state {
            Some(RunState::Completed) => Color::Green,
            Some(RunState::Running) => Color::Cyan,
            Some(RunState::Interrupted | RunState::Pruned) => Color::Yellow,
            Some(RunState::Created) => Color::Reset,
            Some(RunState::Failed) | None => Color::Red,
        })
    }
}

/// A table without lines, as wide as its content, or as the terminal.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    table
}

/// The table as lines, without the blanks that fill up the last column.
pub(crate) fn render(table: &Table) -> String {
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end().strip_prefix(' ').unwrap_or(line.trim_end()));
        text.push('\n');
    }
    text
}
