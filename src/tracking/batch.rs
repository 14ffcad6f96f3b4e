//! Requests of `runs/log-batch`: as full as MLflow allows, and no fuller.

use explr_protocol::number;
use serde::{Deserialize, Serialize, Serializer};

/// Limits of one request.
const METRICS: usize = 1000;
const PARAMS: usize = 100;
const TAGS: usize = 100;
const TOTAL: usize = 1000;

/// How the names of the metrics begin that the train function returned.
pub(super) const RESULT: &str = "result/";

/// Longest values, in characters. Beyond them the server cuts in silence.
const PARAM_VALUE: usize = 6000;
const TAG_VALUE: usize = 8000;

/// One thing to log, its key made to fit.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    Metric(Metric),
    Param(Pair),
    Tag(Pair),
}

/// A point of a metric.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Metric {
    pub(super) key: String,
    #[serde(serialize_with = "number::serialize")]
    pub(super) value: f64,
    pub(super) timestamp: u64,
    pub(super) step: i64,
    /// The logged model that it is about, beside the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model_id: Option<String>,
}

/// A parameter or tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pair {
    pub(super) key: String,
    pub(super) value: String,
}

/// What goes into one request.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Batch {
    metrics: Vec<Metric>,
    params: Vec<Pair>,
    tags: Vec<Pair>,
}

impl Batch {
    pub(super) fn len(&self) -> usize {
        self.metrics.len() + self.params.len() + self.tags.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes an item in, or gives it back when the request has no room.
    pub(super) fn push(&mut self, item: Item) -> Result<(), Item> {
        if self.len() == TOTAL {
            return Err(item);
        }
        match item {
            Item::Metric(metric) if self.metrics.len() < METRICS => self.metrics.push(metric),
            Item::Param(param) => {
                // The same key twice in a request is refused, even if equal.
                match self.params.iter().find(|known| known.key == param.key) {
                    Some(known) if known.value == param.value => {}
                    None if self.params.len() < PARAMS => self.params.push(param),
                    _ => return Err(Item::Param(param)),
                }
            }
            Item::Tag(tag) => match self.tags.iter().position(|known| known.key == tag.key) {
                Some(at) => self.tags[at].value = tag.value,
                None if self.tags.len() < TAGS => self.tags.push(tag),
                None => return Err(Item::Tag(tag)),
            },
            item @ Item::Metric(_) => return Err(item),
        }
        Ok(())
    }

    /// The metrics of results, said of models.
    pub(super) fn results_of<'a>(&self, models: impl Iterator<Item = &'a String>) -> Self {
        let results = || (self.metrics.iter()).filter(|metric| metric.key.starts_with(RESULT));
        let metrics = models.flat_map(|model| {
            results().map(|metric| Metric {
                model_id: Some(model.clone()),
                ..metric.clone()
            })
        });
        Self {
            metrics: metrics.take(METRICS).collect(),
            ..Self::default()
        }
    }

    /// The two halves, to find out which of them is refused. A batch of one
    /// item can't be split.
    pub(super) fn split(self) -> Result<(Self, Self), Self> {
        if self.len() < 2 {
            return Err(self);
        }
        let half = self.len() / 2;
        let mut first = Self::default();
        let mut second = Self::default();
        let items = (self.params.into_iter().map(Item::Param))
            .chain(self.tags.into_iter().map(Item::Tag))
            .chain(self.metrics.into_iter().map(Item::Metric));
        for (n, item) in items.enumerate() {
            let side = if n < half { &mut first } else { &mut second };
            match item {
                Item::Metric(metric) => side.metrics.push(metric),
                Item::Param(param) => side.params.push(param),
                Item::Tag(tag) => side.tags.push(tag),
            }
        }
        Ok((first, second))
    }

    /// The body of the request.
    pub(super) fn body(&self, run_id: &str) -> Vec<u8> {
        let request = Request {
            run_id,
            metrics: &self.metrics,
            params: &self.params,
            tags: &self.tags,
        };
        // Strings and numbers alone: nothing that JSON can't hold.
        serde_json::to_vec(&request).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Request<'a> {
    run_id: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    metrics: &'a [Metric],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    params: &'a [Pair],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tags: &'a [Pair],
}

impl Serialize for Batch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let request = Request {
            run_id: "",
            metrics: &self.metrics,
            params: &self.params,
            tags: &self.tags,
        };
        request.serialize(serializer)
    }
}

/// The text of a parameter: strings as they are, anything else as JSON.
pub(super) fn param_text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A value too long for MLflow, cut where it would be, with a mark that says
/// so.
pub(super) fn cut_param(value: &str) -> Option<String> {
    cut(value, PARAM_VALUE)
}

/// The same for tags.
pub(super) fn cut_tag(value: &str) -> Option<String> {
    cut(value, TAG_VALUE)
}

fn cut(value: &str, longest: usize) -> Option<String> {
    value.char_indices().nth(longest)?;
    let mark = format!("… [cut; {} characters]", value.chars().count());
    let kept = longest - mark.chars().count();
    Some(value.chars().take(kept).chain(mark.chars()).collect())
}

#[cfg(test)]
mod tests {
    use super::{Batch, Item, Metric, PARAM_VALUE, Pair, cut_param, param_text};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn metric(value: f64) -> Item {
        Item::Metric(Metric {
            key: "loss".into(),
            value,
            timestamp: 7,
            step: 1,
            model_id: None,
        })
    }

    fn pair(key: &impl ToString, value: &str) -> Pair {
        Pair {
            key: key.to_string(),
            value: value.into(),
        }
    }

    fn body(batch: &Batch) -> Value {
        serde_json::from_slice(&batch.body("r")).unwrap()
    }

    #[test]
    fn a_request_is_never_fuller_than_mlflow_allows() {
        let mut batch = Batch::default();
        for n in 0..100 {
            batch.push(Item::Param(pair(&n, "x"))).unwrap();
        }
        assert!(batch.push(Item::Param(pair(&"one more", "x"))).is_err());
        for _ in 0..900 {
            batch.push(metric(0.5)).unwrap();
        }
        assert_eq!(batch.push(metric(0.5)), Err(metric(0.5)));
        assert!(batch.push(Item::Tag(pair(&"t", "x"))).is_err());
    }

    #[test]
    fn non_finite_values_are_strings() {
        let mut batch = Batch::default();
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.1] {
            batch.push(metric(value)).unwrap();
        }
        let values: Vec<_> = body(&batch)["metrics"]
            .as_array()
            .unwrap()
            .iter()
            .map(|metric| metric["value"].clone())
            .collect();
        assert_eq!(json!(values), json!(["NaN", "Infinity", "-Infinity", 0.1]));
    }

    #[test]
    fn a_key_is_once_in_a_request() {
        let mut batch = Batch::default();
        batch.push(Item::Param(pair(&"lr", "1"))).unwrap();
        batch.push(Item::Param(pair(&"lr", "1"))).unwrap();
        assert!(batch.push(Item::Param(pair(&"lr", "2"))).is_err());
        batch.push(Item::Tag(pair(&"t", "old"))).unwrap();
        batch.push(Item::Tag(pair(&"t", "new"))).unwrap();
        assert_eq!(body(&batch)["params"], json!([{"key": "lr", "value": "1"}]));
        assert_eq!(body(&batch)["tags"], json!([{"key": "t", "value": "new"}]));
    }

    #[test]
    fn results_are_said_of_every_model() {
        let mut batch = Batch::default();
        let result = Metric {
            key: "result/acc".into(),
            value: 0.9,
            timestamp: 7,
            step: 0,
            model_id: None,
        };
        batch.push(metric(0.5)).unwrap();
        batch.push(Item::Metric(result)).unwrap();
        let of_models = body(&batch.results_of(["m-1".to_owned(), "m-2".to_owned()].iter()));
        let said = |model| json!({"key": "result/acc", "value": 0.9, "timestamp": 7, "step": 0, "model_id": model});
        assert_eq!(of_models["metrics"], json!([said("m-1"), said("m-2")]));
        assert_eq!(body(&batch)["metrics"][1].get("model_id"), None);
    }

    #[test]
    fn a_parameter_is_text() {
        assert_eq!(param_text(&json!("adam")), "adam");
        assert_eq!(param_text(&json!(1e-4)), "0.0001");
        assert_eq!(param_text(&json!([1, null])), "[1,null]");
        assert_eq!(param_text(&json!(true)), "true");
    }

    #[test]
    fn a_long_value_says_that_it_was_cut() {
        assert_eq!(cut_param(&"é".repeat(PARAM_VALUE)), None);
        let cut = cut_param(&"é".repeat(PARAM_VALUE + 1)).unwrap();
        assert_eq!(cut.chars().count(), PARAM_VALUE);
        assert!(cut.ends_with("… [cut; 6001 characters]"), "{cut}");
    }

    proptest! {
        #[test]
        fn halving_loses_nothing(kinds in prop::collection::vec(0..3, 0..50)) {
            let mut batch = Batch::default();
            for (n, kind) in kinds.iter().enumerate() {
                batch.push(match kind {
                    0 => metric(n as f64),
                    1 => Item::Param(pair(&n, "x")),
                    _ => Item::Tag(pair(&n, "x")),
                }).unwrap();
            }
            match batch.clone().split() {
                Err(whole) => prop_assert!(whole.len() < 2),
                Ok((first, second)) => {
                    prop_assert!(first.len().abs_diff(second.len()) <= 1);
                    prop_assert_eq!(first.len() + second.len(), batch.len());
                    let mut together = first;
                    together.metrics.extend(second.metrics);
                    together.params.extend(second.params);
                    together.tags.extend(second.tags);
                    prop_assert_eq!(together, batch);
                }
            }
        }
    }
}
