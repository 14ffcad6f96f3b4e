use super::data::data;
use crate::History;

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPTS: [&str; 6] = [
    include_str!("page/core.js"),
    include_str!("page/plot.js"),
    include_str!("page/progress.js"),
    include_str!("page/parameters.js"),
    include_str!("page/table.js"),
    include_str!("page/main.js"),
];

/// How the page names things.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Heading. Default: the study's name.
    pub title: Option<String>,
    /// What the objectives are called, such as `validation loss`. Default:
    /// `objective`, counted if there are several.
    pub objectives: Vec<String>,
}

/// The study as one HTML page that needs nothing else: no network, no other
/// file. Light for 10,000 trials.
pub fn html(history: &History, options: &Options) -> String {
    let title = options.title.as_deref().unwrap_or(history.name());
    // Within a script element only `<` can end it or open a comment.
    let data = data(history, &options.objectives)
        .to_string()
        .replace('<', "\\u003c");
    let scripts = SCRIPTS.concat();
    let parts = [
        ("{{title}}", escaped(title)),
        ("{{style}}", STYLE.to_owned()),
        ("{{data}}", data),
        ("{{scripts}}", scripts),
    ];
    // In the order of the page, so that nothing inserted is searched again.
    let mut page =
        String::with_capacity(PAGE.len() + parts.iter().map(|p| p.1.len()).sum::<usize>());
    let mut rest = PAGE;
    for (mark, part) in parts {
        if let Some((before, after)) = rest.split_once(mark) {
            page.push_str(before);
            page.push_str(&part);
            rest = after;
        }
    }
    page.push_str(rest);
    page
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
