//! A project whose train function is Python.

pub(super) const HINT: &str = "The train function is in training.py; `explr tune config.yaml` \
                               searches for its best hyperparameters.";

/// Everything that is written, with its path.
pub(super) fn files(name: &str) -> Vec<(&'static str, String)> {
    let fill = |text: &str| text.replace("{{name}}", name);
    vec![
        (
            "training.py",
            fill(include_str!("../../../templates/python/training.py.in")),
        ),
        (
            "config.yaml",
            fill(include_str!("../../../templates/python/config.yaml.in")),
        ),
        ("explr.schema.json", explr::config::schema_text()),
        (
            "README.md",
            fill(include_str!("../../../templates/python/README.md.in")),
        ),
        (
            ".gitignore",
            fill(include_str!("../../../templates/python/gitignore.in")),
        ),
    ]
}
