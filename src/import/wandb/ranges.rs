use super::reader::Reader;
use crate::config::node::{Content, Entry};
use crate::config::source::Span;
use explr_study::{Distribution, DistributionError, FloatRange, IntRange};

/// Makes a range of what is written for a parameter.
pub(super) struct Ranges<'a> {
    pub(super) reader: &'a mut Reader,
    pub(super) path: &'a str,
    pub(super) entry: &'a Entry,
    pub(super) is_grid: bool,
}

/// The multiples of `q` from `low` to `high`.
struct Steps {
    low: f64,
    high: f64,
    q: f64,
    /// W&B makes whole numbers of them.
    is_whole: bool,
}

impl Ranges<'_> {
    pub(super) fn read(mut self, kind: &str) -> Option<Distribution> {
        match kind {
            "int_uniform" => self.int_uniform(),
            "uniform" => {
                let (min, max) = self.bounds()?;
                self.float(min, max, false)
            }
            "log_uniform_values" | "inv_log_uniform_values" => {
                let (min, max) = self.bounds()?;
                self.float(min, max, true)
            }
            "log_uniform" => {
                let (low, high) = self.exponents()?;
                self.say_exponents(kind, low, high);
                self.float(low, high, true)
            }
            "inv_log_uniform" => {
                let (min, max) = self.exponents()?;
                let (low, high) = (tidy(1.0 / max), tidy(1.0 / min));
                self.say_exponents(kind, low, high);
                self.float(low, high, true)
            }
            "q_uniform" if self.is_grid => self.grid_of_steps(),
            "q_uniform" => {
                let (min, max) = self.bounds()?;
                let steps = self.steps(min, max)?;
                self.say_rounded(&steps, min, max);
                self.stepped(&steps)
            }
            "q_log_uniform" => {
                let (min, max) = self.exponents()?;
                self.say_exponents(kind, min, max);
                self.log_steps(min, max)
            }
            "q_log_uniform_values" => {
                let (min, max) = self.bounds()?;
                self.log_steps(min, max)
            }
            _ => {
                self.unbounded(kind);
                None
            }
        }
    }

    fn number(&mut self, key: &str) -> Option<f64> {
        let Some(entry) = self.entry.value.entry(key) else {
            let message = format!("`{}` has no `{key}`", self.path);
            let help = if key == "min" { "min: 0" } else { "max: 1" };
            let help = format!("add it, as in `{help}`");
            self.reader.error(self.entry.key_span, message, help);
            return None;
        };
        self.reader.number(&format!("{}.{key}", self.path), entry)
    }

    /// A number that has a default.
    fn number_or(&mut self, key: &str, default: f64) -> Option<f64> {
        match self.entry.value.entry(key) {
            Some(_) => self.number(key),
            None => Some(default),
        }
    }

    fn bounds(&mut self) -> Option<(f64, f64)> {
        let (min, max) = (self.number("min"), self.number("max"));
        let (min, max) = (min?, max?);
        if min > max {
            let message = format!("`{}.min` ({min}) is greater than `max` ({max})", self.path);
            let span = self.at("min");
            self.reader.error(span, message, "swap them");
            return None;
        }
        Some((min, max))
    }

    /// Bounds that are given as exponents of e.
    fn exponents(&mut self) -> Option<(f64, f64)> {
        let (min, max) = self.bounds()?;
        let (low, high) = (tidy(min.exp()), tidy(max.exp()));
        if low == 0.0 || high.is_infinite() {
            let message = format!(
                "the bounds of `{}` are exponents of e, and e^{min} to e^{max} can't be held",
                self.path
            );
            let help = "for the values themselves, write `distribution: log_uniform_values`";
            let span = self.at("min");
            self.reader.error(span, message, help);
            return None;
        }
        Some((low, high))
    }

    fn say_exponents(&mut self, kind: &str, low: f64, high: f64) {
        let text = format!(
            "`{}` has exponents of e as bounds, so its values are {} to {}; if the bounds were \
             meant as values, W&B's word is `{kind}_values`",
            self.path,
            shown(low),
            shown(high)
        );
        let span = self.at("min");
        self.reader.note(span, text);
    }

    fn int_uniform(&mut self) -> Option<Distribution> {
        self.bounds()?;
        let mut whole = |key: &str| {
            let entry = self.entry.value.entry(key)?;
            self.reader.whole(&format!("{}.{key}", self.path), entry)
        };
        let (min, max) = (whole("min"), whole("max"));
        let made = IntRange::new(min?, max?, false, 1);
        self.checked(made).map(Distribution::Int)
    }

    fn float(&mut self, low: f64, high: f64, log: bool) -> Option<Distribution> {
        let made = FloatRange::new(low, high, log, None);
        self.checked(made).map(Distribution::Float)
    }

    /// W&B rounds what it draws to a multiple of `q`. An end halfway between
    /// two of them goes inwards: nothing but that point is rounded outwards.
    fn steps(&mut self, min: f64, max: f64) -> Option<Steps> {
        let q = self.number_or("q", 1.0)?;
        if q <= 0.0 {
            let message = format!("`{}.q` must be above 0, and not {q}", self.path);
            let help = "it is the distance of neighbouring values";
            let span = self.at("q");
            self.reader.error(span, message, help);
            return None;
        }
        let (first, last) = (tidy(min / q) + 0.5, tidy(max / q) - 0.5);
        Some(Steps {
            low: tidy(first.floor() * q),
            high: tidy(last.ceil() * q),
            q,
            is_whole: self.is_whole("q"),
        })
    }

    fn say_rounded(&mut self, steps: &Steps, min: f64, max: f64) {
        #[allow(clippy::float_cmp)] // Whether rounding changed anything.
        if steps.low != min || steps.high != max {
            let text = format!(
                "`{}` has multiples of {} as values: from {} to {}",
                self.path,
                shown(steps.q),
                shown(steps.low),
                shown(steps.high)
            );
            let span = self.at("min");
            self.reader.note(span, text);
        }
    }

    /// In a grid the values begin with `min`, and end before `max`.
    fn grid_of_steps(&mut self) -> Option<Distribution> {
        let (min, max) = self.bounds()?;
        let mut steps = self.steps(min, max)?;
        let count = ((max - min) / steps.q - 1e-9).ceil();
        if count < 1.0 {
            let message = format!("a grid of `{}` has no values", self.path);
            let help = "W&B leaves out `max` itself: raise it";
            let span = self.at("max");
            self.reader.error(span, message, help);
            return None;
        }
        steps.low = min;
        steps.high = tidy(min + (count - 1.0) * steps.q);
        steps.is_whole &= self.is_whole("min") && self.is_whole("max");
        let text = format!(
            "`{}` ends with {}: a grid of W&B leaves out `max` itself",
            self.path,
            shown(steps.high)
        );
        let span = self.at("max");
        self.reader.note(span, text);
        self.stepped(&steps)
    }

    /// explr has steps or logarithms, but not both, except for whole numbers.
    fn log_steps(&mut self, min: f64, max: f64) -> Option<Distribution> {
        let steps = self.steps(min, max)?;
        self.say_rounded(&steps, min, max);
        #[allow(clippy::float_cmp)] // It is written as 1.
        if steps.q == 1.0 && steps.low >= 1.0 {
            let made = IntRange::new(whole(steps.low), whole(steps.high), true, 1);
            return self.checked(made).map(Distribution::Int);
        }
        let text = format!(
            "`{}` keeps its steps of {}, but they are drawn evenly, and not by their logarithm: \
             explr's ranges have one or the other",
            self.path,
            shown(steps.q)
        );
        let span = self.entry.key_span;
        self.reader.note(span, text);
        self.stepped(&steps)
    }

    fn stepped(&mut self, steps: &Steps) -> Option<Distribution> {
        if steps.is_whole {
            let (low, high, q) = (whole(steps.low), whole(steps.high), whole(steps.q));
            let made = IntRange::new(low, high, false, q);
            self.checked(made).map(Distribution::Int)
        } else {
            let made = FloatRange::new(steps.low, steps.high, false, Some(steps.q));
            self.checked(made).map(Distribution::Float)
        }
    }

    fn checked<T>(&mut self, made: Result<T, DistributionError>) -> Option<T> {
        made.map_err(|error| {
            let (span, help) = match error {
                DistributionError::LogOfNothing { .. } => (
                    self.at("min"),
                    "begin at a small number such as 1e-6, or write `distribution: uniform`",
                ),
                _ => (self.entry.key_span, "choose other bounds"),
            };
            let message = format!("`{}`: {error}", self.path);
            self.reader.error(span, message, help);
        })
        .ok()
    }

    /// What has no bounds, or a shape that explr doesn't draw.
    fn unbounded(&mut self, kind: &str) {
        let (Some(mu), Some(sigma)) = (self.number_or("mu", 0.0), self.number_or("sigma", 1.0))
        else {
            return;
        };
        let (low, high) = (tidy(mu - 3.0 * sigma), tidy(mu + 3.0 * sigma));
        let (name, low, high) = match kind {
            "normal" => ("uniform", low, high),
            "q_normal" => ("q_uniform", low, high),
            "log_normal" => ("log_uniform_values", low.exp(), high.exp()),
            "q_log_normal" => ("q_log_uniform_values", low.exp(), high.exp()),
            "q_beta" => ("q_uniform", 0.0, 1.0),
            _ => ("uniform", 0.0, 1.0),
        };
        let reach = if kind.ends_with("beta") {
            "its values lie in"
        } else {
            "three standard deviations reach over"
        };
        let message = format!("`{}`: explr has no `{kind}` distribution", self.path);
        let help = format!(
            "give it bounds; {reach} `distribution: {name}` with `min: {}` and `max: {}`",
            rounded(low),
            rounded(high)
        );
        let span = self.at("distribution");
        self.reader.error(span, message, help);
    }

    fn at(&self, key: &str) -> Span {
        let entry = self.entry.value.entry(key);
        entry.map_or(self.entry.key_span, |entry| entry.value.span)
    }

    fn is_whole(&self, key: &str) -> bool {
        let node = self.entry.value.entry(key).map(|entry| &entry.value.value);
        matches!(node, Some(Content::Number(number)) if !number.is_f64())
    }
}

/// Without the noise of binary fractions, and without -0.
fn tidy(value: f64) -> f64 {
    format!("{value:.11e}").parse().unwrap_or(value) + 0.0
}

/// As many digits as a person would write.
fn rounded(value: f64) -> String {
    shown(format!("{value:.2e}").parse().unwrap_or(value))
}

fn shown(value: f64) -> String {
    if value != 0.0 && !(1e-3..1e9).contains(&value.abs()) {
        format!("{value:e}")
    } else {
        value.to_string()
    }
}

/// Only for numbers that are whole. What is too large stays so, and is refused.
#[allow(clippy::cast_possible_truncation)] // It saturates.
fn whole(value: f64) -> i64 {
    value.round() as i64
}
