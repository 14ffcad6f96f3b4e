use super::export;
use explr_study::History;
use explr_study::report::{self, Options};

/// What a study's run holds as artifacts: name and content.
pub(super) fn of(history: &History) -> Vec<(&'static str, String)> {
    let mut files = vec![
        ("report.html", report::html(history, &Options::default())),
        ("trials.csv", export::csv(history)),
    ];
    if let Some(best) = history.best() {
        let best = export::best_json(history, best);
        files.extend(
            serde_saphyr::to_string(&best)
                .ok()
                .map(|text| ("best.yaml", text)),
        );
    }
    files
}
