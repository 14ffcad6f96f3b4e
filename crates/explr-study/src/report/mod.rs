//! A study to look at: a page for the browser, and a text for the terminal.

mod data;
mod html;
mod text;

pub use html::{Options, html};
pub use text::text;
