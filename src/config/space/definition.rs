use super::super::node::{Content, Entry, Node};
use super::super::problem::Problem;
use super::super::remedy::shorten;
use super::super::source::Span;
use super::super::suggest::{alternatives, did_you_mean, list};
use super::read::is_worth_help;
use explr_study::{
    Categories, Condition, Distribution, DistributionError, Domain, FloatRange, IntRange, Parameter,
};
use serde_json::Value;

/// The keys by which a parameter's description is known.
pub(super) const KEYS: [&str; 4] = ["type", "low", "high", "choices"];

/// The same in W&B's words.
pub(super) const FOREIGN_KEYS: [&str; 4] = ["min", "max", "values", "distribution"];

/// Choices are compared with each other.
const MOST_CHOICES: usize = 1000;

const TYPES: [&str; 3] = ["float", "int", "categorical"];

/// Words of other tools, and what they are here.
const WORDS: [(&str, &str); 9] = [
    ("min", "low"),
    ("max", "high"),
    ("values", "choices"),
    ("options", "choices"),
    ("condition", "when"),
    ("conditions", "when"),
    ("if", "when"),
    ("q", "step"),
    ("distribution", "type"),
];

/// A parameter that may still be wrong, with its places.
pub(super) struct Draft {
    pub(super) name: String,
    /// The text in which it is defined: a later one overrides an earlier one.
    pub(super) source: usize,
    /// None if it is wrong, which was said already.
    pub(super) domain: Option<Domain>,
    pub(super) when: Vec<DraftCondition>,
}

pub(super) struct DraftCondition {
    pub(super) parent: String,
    pub(super) key: Span,
    pub(super) any_of: Vec<(Value, Span)>,
}

impl Draft {
    pub(super) fn finish(self) -> Option<Parameter> {
        Some(Parameter {
            name: self.name,
            domain: self.domain?,
            when: self
                .when
                .into_iter()
                .map(|condition| Condition {
                    parent: condition.parent,
                    any_of: condition
                        .any_of
                        .into_iter()
                        .map(|(value, _)| value)
                        .collect(),
                })
                .collect(),
        })
    }
}

/// Reads what is written for one parameter.
pub(super) fn read(name: &str, key: Span, node: &Node, problems: &mut Vec<Problem>) -> Draft {
    let mut reader = Definition {
        path: format!("search_space.{}", shorten(name)),
        key,
        node,
        problems,
    };
    let domain = match &node.value {
        Content::Map(_) => reader.domain(),
        Content::Null => {
            reader.push(
                key,
                format!("`{}` has no value", reader.path),
                "describe it, as in `{type: float, low: 0, high: 1}`, or fix it: `{value: null}`",
            );
            None
        }
        // Said when the values were looked at.
        Content::Unrepresentable => None,
        _ => Some(Domain::Fixed(node.to_json())),
    };
    Draft {
        name: name.to_owned(),
        source: node.span.source,
        domain,
        when: reader.when(),
    }
}

struct Definition<'a> {
    path: String,
    key: Span,
    node: &'a Node,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Definition<'a> {
    fn push(&mut self, span: Span, message: String, help: impl Into<String>) {
        self.problems.push(Problem::new(span, message).help(help));
    }

    fn get(&self, key: &str) -> Option<&'a Entry> {
        self.node.entry(key)
    }

    fn domain(&mut self) -> Option<Domain> {
        if let Some(value) = self.get("value") {
            self.only(&["value", "when"], "a fixed value");
            return Some(Domain::Fixed(value.value.to_json()));
        }
        let Some(kind) = self.get("type") else {
            let help = if FOREIGN_KEYS.iter().any(|key| self.get(key).is_some()) {
                "write `type: float` with `low` and `high`, or `type: categorical` with \
                 `choices`"
                    .to_owned()
            } else if self.get("choices").is_some() {
                "add `type: categorical`".to_owned()
            } else {
                "add `type: float` or `type: int`".to_owned()
            };
            self.push(self.key, format!("`{}` has no `type`", self.path), help);
            return None;
        };
        let distribution = match kind.value.text() {
            Some("float") => {
                self.only(&["type", "low", "high", "log", "step", "when"], "a `float`");
                self.float().map(Distribution::Float)
            }
            Some("int") => {
                self.only(&["type", "low", "high", "log", "step", "when"], "an `int`");
                self.int().map(Distribution::Int)
            }
            Some("categorical") => {
                self.only(&["type", "choices", "when"], "a `categorical`");
                self.categorical().map(Distribution::Categorical)
            }
            other => {
                let shown = other.map_or_else(|| kind.value.to_json().to_string(), str::to_owned);
                let help = other
                    .and_then(|word| did_you_mean(word, TYPES).or_else(|| synonym(word)))
                    .unwrap_or_else(|| format!("it can be {}", alternatives(TYPES)));
                let shown = shorten(&shown);
                self.push(
                    kind.value.span,
                    format!("`{}.type` can't be `{shown}`", self.path),
                    help,
                );
                None
            }
        };
        distribution.map(Domain::Search)
    }

    /// Refuses other keys than these.
    fn only(&mut self, allowed: &[&str], what: &str) {
        for entry in self.node.entries() {
            let key = entry.key.as_str();
            if allowed.contains(&key) {
                continue;
            }
            let message = format!("unknown key `{}` in `{}`", shorten(key), self.path);
            let problem = Problem::new(entry.key_span, message);
            if !is_worth_help(self.problems) {
                self.problems.push(problem);
                continue;
            }
            let word = WORDS
                .iter()
                .find(|(word, ours)| *word == key && allowed.contains(ours));
            let help = word
                .map(|(_, ours)| format!("did you mean `{ours}`?"))
                .or_else(|| did_you_mean(key, allowed.iter().copied()))
                .unwrap_or_else(|| format!("{what} has {}", list(allowed.iter().copied())));
            self.problems.push(problem.help(help));
        }
    }

    fn float(&mut self) -> Option<FloatRange> {
        let low = self.bound("low", Self::number);
        let high = self.bound("high", Self::number);
        let log = self.log();
        let step = match self.get("step") {
            Some(entry) => Some(self.number(entry)?),
            None => None,
        };
        let made = FloatRange::new(low?, high?, log?, step);
        made.map_err(|error| self.distribution(&error, "float"))
            .ok()
    }

    fn int(&mut self) -> Option<IntRange> {
        let low = self.bound("low", Self::integer);
        let high = self.bound("high", Self::integer);
        let log = self.log();
        let step = match self.get("step") {
            Some(entry) => self.integer(entry)?,
            None => 1,
        };
        let made = IntRange::new(low?, high?, log?, step);
        made.map_err(|error| self.distribution(&error, "int")).ok()
    }

    fn categorical(&mut self) -> Option<Categories> {
        let Some(choices) = self.get("choices") else {
            self.missing("choices", "choices: [a, b]");
            return None;
        };
        let Content::List(items) = &choices.value.value else {
            let message = format!("`{}.choices` must be a list", self.path);
            let help = match choices.value.text() {
                Some(text) => format!("write it as `[{}]`", shorten(text)),
                None => "as in `choices: [sgd, adam]`".to_owned(),
            };
            self.push(first_line(&choices.value), message, help);
            return None;
        };
        if items.len() > MOST_CHOICES {
            let message = format!("`{}` has more than {MOST_CHOICES} choices", self.path);
            let help = "is it an `int` or a `float`?";
            self.push(first_line(&choices.value), message, help);
            return None;
        }
        let made = Categories::new(items.iter().map(Node::to_json).collect());
        made.map_err(|error| {
            if let DistributionError::SameChoice { choice } = error {
                let second = items
                    .iter()
                    .filter(|item| item.to_json() == choice)
                    .nth(1)
                    .map_or(choices.value.span, |item| item.span);
                let message = format!("the choice {} is there twice", shown(&choice));
                self.push(second, message, "keep one of them");
            } else {
                let message = format!("`{}.choices` is empty", self.path);
                self.push(choices.value.span, message, "as in `choices: [sgd, adam]`");
            }
        })
        .ok()
    }

    fn bound<T>(&mut self, key: &str, read: impl Fn(&mut Self, &Entry) -> Option<T>) -> Option<T> {
        if let Some(entry) = self.get(key) {
            read(self, entry)
        } else {
            let example = if key == "low" { "low: 0" } else { "high: 1" };
            self.missing(key, example);
            None
        }
    }

    fn missing(&mut self, key: &str, example: &str) {
        // `min` for `low` is one mistake, not two.
        let is_misspelled = self.node.entries().iter().any(|entry| {
            WORDS.contains(&(&entry.key, key)) || did_you_mean(&entry.key, [key]).is_some()
        });
        if !is_misspelled {
            let message = format!("`{}` has no `{key}`", self.path);
            self.push(self.key, message, format!("add it, as in `{example}`"));
        }
    }

    fn number(&mut self, entry: &Entry) -> Option<f64> {
        match &entry.value.value {
            Content::Number(number) => number.as_f64(),
            Content::Unrepresentable => None,
            _ => {
                self.wrong_kind(entry, "a number");
                None
            }
        }
    }

    fn integer(&mut self, entry: &Entry) -> Option<i64> {
        match &entry.value.value {
            Content::Unrepresentable => None,
            Content::Number(number) => {
                let whole = number.as_i64();
                if whole.is_none() {
                    let value = number.as_f64().unwrap_or(f64::NAN);
                    let help = if value.fract() == 0.0 && value.abs() < 1e15 {
                        format!("write it as `{value:.0}`")
                    } else {
                        "for fractions, write `type: float`".to_owned()
                    };
                    let message = format!(
                        "`{}.{}` must be a whole number, not {number}",
                        self.path, entry.key
                    );
                    self.push(entry.value.span, message, help);
                }
                whole
            }
            _ => {
                self.wrong_kind(entry, "a whole number");
                None
            }
        }
    }

    fn wrong_kind(&mut self, entry: &Entry, wanted: &str) {
        let key = &entry.key;
        let span = match entry.value.value {
            Content::Null => entry.key_span,
            _ => first_line(&entry.value),
        };
        let message = format!("`{}.{key}` must be {wanted}", self.path);
        let help =
            super::super::remedy::remedy(wanted, &entry.value, &format!("{}.{key}", self.path))
                .unwrap_or_else(|| format!("as in `{key}: 1`"));
        self.push(span, message, help);
    }

    fn log(&mut self) -> Option<bool> {
        match self.get("log").map(|entry| (&entry.value.value, entry)) {
            None => Some(false),
            Some((Content::Bool(log), _)) => Some(*log),
            Some((_, entry)) => {
                let message = format!("`{}.log` must be `true` or `false`", self.path);
                self.push(first_line(&entry.value), message, "write `log: true`");
                None
            }
        }
    }

    /// Says what is wrong with a range, at the key that is.
    fn distribution(&mut self, error: &DistributionError, kind: &str) {
        use DistributionError as E;
        let at = |key| self.get(key).map_or(self.key, |entry| entry.value.span);
        let path = &self.path;
        let (span, message, help) = match *error {
            E::LowAboveHigh { low, high } => (
                at("low"),
                format!(
                    "`{path}.low` ({}) is greater than `high` ({})",
                    pretty(low),
                    pretty(high)
                ),
                "swap them".to_owned(),
            ),
            E::LogOfNothing { low } => (
                at("low"),
                format!(
                    "`{path}` is logarithmic, so `low` must be above 0, not {}",
                    pretty(low)
                ),
                if kind == "int" {
                    "begin at 1, or leave `log` out".to_owned()
                } else {
                    "begin at a small number such as 1e-6, or leave `log` out".to_owned()
                },
            ),
            E::LogWithStep => (
                at("step"),
                format!("`{path}` has both `log` and `step`"),
                "leave one of them out: a logarithmic range has no even steps".to_owned(),
            ),
            E::Step { step } => (
                at("step"),
                format!("`{path}.step` must be above 0, not {}", pretty(step)),
                "it is the distance of neighbouring values".to_owned(),
            ),
            E::Indivisible {
                low,
                high,
                step,
                last,
            } => (
                at("step"),
                format!(
                    "the step {} doesn't divide `{path}`, from {} to {}",
                    pretty(step),
                    pretty(low),
                    pretty(high)
                ),
                format!(
                    "with this step, `high` can be {} or {}",
                    pretty(last),
                    pretty(last + step)
                ),
            ),
            E::TooLarge { value } => {
                let low = self.get("low").is_some_and(|entry| {
                    matches!(&entry.value.value, Content::Number(number) if number.as_i64() == Some(value))
                });
                (
                    at(if low { "low" } else { "high" }),
                    format!("{value} is too large for `{path}`"),
                    "whole numbers lie between -2^53 and 2^53".to_owned(),
                )
            }
            E::NotFinite { .. } | E::NoChoices | E::SameChoice { .. } => {
                (self.key, format!("`{path}`: {error}"), String::new())
            }
        };
        self.push(span, message, help);
    }

    fn when(&mut self) -> Vec<DraftCondition> {
        let Some(when) = self.get("when") else {
            return Vec::new();
        };
        let Content::Map(entries) = &when.value.value else {
            let message = format!(
                "`{}.when` must be a map of parameters and their values",
                self.path
            );
            let help = "as in `when: {optimizer: sgd}` or `when: {optimizer: [sgd, rmsprop]}`";
            self.push(first_line(&when.value), message, help);
            return Vec::new();
        };
        if entries.is_empty() {
            let message = format!("`{}.when` is empty", self.path);
            self.push(when.value.span, message, "as in `when: {optimizer: sgd}`");
        }
        let mut conditions = Vec::new();
        for entry in entries {
            let any_of: Vec<_> = match &entry.value.value {
                Content::List(items) => items
                    .iter()
                    .map(|item| (item.to_json(), item.span))
                    .collect(),
                _ => vec![(entry.value.to_json(), entry.value.span)],
            };
            if any_of.is_empty() {
                let message = format!("`{}.when.{}` has no values", self.path, entry.key);
                let help = "name the values that it holds for, or leave `when` out";
                self.push(entry.value.span, message, help);
                continue;
            }
            conditions.push(DraftCondition {
                parent: entry.key.clone(),
                key: entry.key_span,
                any_of,
            });
        }
        conditions
    }
}

/// The type that another tool's word means.
fn synonym(word: &str) -> Option<String> {
    let ours = match word.to_lowercase().as_str() {
        "uniform" | "real" | "double" | "number" | "continuous" | "range" => "`type: float`",
        "loguniform" | "log_uniform" | "log_uniform_values" | "log" => {
            "`type: float` with `log: true`"
        }
        "integer" | "int_uniform" | "randint" => "`type: int`",
        "choice" | "category" | "enum" | "bool" | "boolean" | "str" | "text" => {
            "`type: categorical` with `choices`"
        }
        "constant" | "fixed" => "`{value: ...}` without a type",
        _ => return None,
    };
    Some(format!("write {ours}"))
}

/// A number without the noise of binary fractions.
pub(super) fn pretty(value: f64) -> String {
    let rounded: f64 = format!("{value:.11e}").parse().unwrap_or(value);
    let size = rounded.abs();
    if rounded != 0.0 && !(1e-4..1e15).contains(&size) {
        format!("{rounded:e}")
    } else {
        format!("{rounded}")
    }
}

/// A value in backquotes; text without its quotes.
pub(in super::super) fn shown(value: &Value) -> String {
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    format!("`{}`", shorten(&text))
}

/// Maps and lists can be long; where they begin is enough.
fn first_line(node: &Node) -> Span {
    match node.value {
        Content::Map(_) | Content::List(_) => node.span.part(0, 1),
        _ => node.span,
    }
}
