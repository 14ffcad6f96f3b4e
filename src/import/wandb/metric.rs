use super::reader::Reader;
use crate::config::names::bad_name;
use crate::config::node::Node;
use explr_protocol::Direction;

/// What is searched for. Without one, W&B has neither name nor direction.
#[derive(Default)]
pub(super) struct Metric {
    pub(super) name: Option<String>,
    pub(super) direction: Option<Direction>,
    pub(super) target: Option<f64>,
}

impl Metric {
    /// Reads `metric`.
    pub(super) fn read(reader: &mut Reader, tree: &Node, method: Option<&str>) -> Self {
        let Some(entry) = tree.entry("metric") else {
            let needing = match method {
                Some("bayes") => tree.entry("method"),
                _ => tree.entry("early_terminate"),
            };
            if let Some(needing) = needing {
                let message = format!("`{}` needs a `metric`", needing.key);
                let help = "as in `metric: {name: val_loss, goal: minimize}`";
                reader.error(needing.key_span, message, help);
            } else {
                reader.remark(
                    "the sweep has no metric: the primary metric of the train function's result \
                     is minimised, unless `tune` says otherwise",
                );
            }
            return Self::default();
        };
        if !reader.is_map("metric", entry) {
            return Self::default();
        }
        let node = &entry.value;
        let keys = ["name", "goal", "target", "impute", "impute_while_running"];
        reader.only(node, "`metric`", "a metric", &keys);
        for key in &keys[3..] {
            if let Some(entry) = node.entry(key) {
                let text =
                    format!("`metric.{key}` is left out: explr searches by what trials report");
                reader.note(entry.key_span, text);
            }
        }
        if node.entry("name").is_none() {
            let help = "as in `name: val_loss`";
            reader.error(entry.key_span, "`metric` has no `name`", help);
        }
        let name = node.entry("name").and_then(|entry| {
            let name = reader.text("metric.name", entry)?;
            reader.name("metric", name, entry.value.span, bad_name(name));
            Some(name.to_owned())
        });
        let goal = node
            .entry("goal")
            .map(|entry| reader.word("metric.goal", entry, &["minimize", "maximize"]));
        Self {
            name,
            direction: Some(match goal {
                Some(Some("maximize")) => Direction::Maximize,
                _ => Direction::Minimize,
            }),
            target: node
                .entry("target")
                .and_then(|entry| reader.number("metric.target", entry)),
        }
    }
}
