use crate::Exit;
use std::fmt;
use std::path::PathBuf;

/// The variable that outweighs every other limit.
pub const VARIABLE: &str = "EXPLR_GPU_MEMORY_GB";
/// Limit of a card's memory when nobody gives one, in GB.
const DEFAULT_GB: &str = "24";
/// What is left to the driver and the desktop, as a part of the card.
const RESERVE: f64 = 0.03;
/// Bytes of a GB.
pub(super) const GB: f64 = 1e9;

/// Where a limit comes from. What comes first outweighs what comes after.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The variable [`VARIABLE`].
    Variable,
    /// An argument of the command line, as it was written.
    Argument(String),
    /// The configuration: a place in its file, or the variable of the key.
    Config(String),
    /// The project's stored limit, in this file.
    Project(PathBuf),
    /// The user's stored limit, in this file.
    User(PathBuf),
    /// Nobody gave one.
    Default,
}

impl Source {
    /// Its kind, in a word for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Variable => "variable",
            Self::Argument(_) => "argument",
            Self::Config(_) => "config",
            Self::Project(_) => "project",
            Self::User(_) => "user",
            Self::Default => "default",
        }
    }

    /// How to give another limit in its place.
    fn remedy(&self) -> &'static str {
        match self {
            Self::Project(_) => {
                "store another with `explr memory --limit GB`, or forget it with `explr memory \
                 --reset`"
            }
            Self::User(_) => {
                "store another with `explr memory --limit GB --global`, or forget it with `explr \
                 memory --reset --global`"
            }
            _ => "give a number of GB (10^9 bytes) that the GPU has; 0 means no limit",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Variable => write!(f, "the variable {VARIABLE}"),
            Self::Argument(text) => write!(f, "the argument `{text}`"),
            Self::Config(place) => f.write_str(place),
            Self::Project(file) => write!(f, "this project's limit ({})", file.display()),
            Self::User(file) => write!(f, "the user's limit ({})", file.display()),
            Self::Default => f.write_str("the default"),
        }
    }
}

/// A limit that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// It is text, or not finite.
    #[error(
        "{from}: `{text}` is no limit of GPU memory\n\
         help: {}",
        from.remedy()
    )]
    NotANumber {
        /// Who gave it.
        from: Source,
        /// What was given.
        text: String,
    },
    /// It is less than 0.
    #[error(
        "{from}: a limit of GPU memory can't be less than 0, and this one is {text}\n\
         help: {}",
        from.remedy()
    )]
    Negative {
        /// Who gave it.
        from: Source,
        /// What was given.
        text: String,
    },
    /// No card of this machine has so much.
    #[error(
        "{from}: a limit of {asked} GB is more than this machine's largest GPU has ({has} GB)\n\
         help: {}",
        from.remedy()
    )]
    MoreThanTheCard {
        /// Who gave it.
        from: Source,
        /// The limit.
        asked: String,
        /// What the card has.
        has: String,
    },
}

impl LimitError {
    /// The exit code of a command that ends with this error.
    pub fn exit(&self) -> Exit {
        match self {
            Self::NotANumber { .. } | Self::Negative { .. } => Exit::Config,
            Self::MoreThanTheCard { .. } => Exit::Resources,
        }
    }
}

/// A limit of the memory that explr's workers use of each card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// In bytes; none for no limit.
    pub bytes: Option<u64>,
    /// Who gave it.
    pub source: Source,
}

impl Limit {
    /// Chooses among what was given, as text in GB: the limit that outweighs
    /// the others, or the default. What is outweighed is not looked at.
    pub fn choose(given: impl IntoIterator<Item = (Source, String)>) -> Result<Self, LimitError> {
        let (source, text) = given
            .into_iter()
            // An empty variable is how scripts and Compose files unset one.
            .filter(|(_, text)| !text.trim().is_empty())
            .min()
            .unwrap_or((Source::Default, DEFAULT_GB.to_owned()));
        match text.trim().parse::<f64>() {
            Ok(gb) if gb.is_finite() && gb >= 0.0 => Ok(Self {
                bytes: (gb > 0.0).then(|| bytes(gb * GB)),
                source,
            }),
            Ok(gb) if gb < 0.0 => Err(LimitError::Negative { from: source, text }),
            _ => Err(LimitError::NotANumber { from: source, text }),
        }
    }

    /// Refuses a limit that somebody gave and no card can mean: the largest
    /// one has `total` bytes.
    pub fn check(&self, total: u64) -> Result<(), LimitError> {
        match self.bytes {
            Some(limit) if limit > total && self.source != Source::Default => {
                Err(LimitError::MoreThanTheCard {
                    from: self.source.clone(),
                    asked: gb(limit),
                    has: gb(total),
                })
            }
            _ => Ok(()),
        }
    }

    /// What workers may use together of a card of `total` bytes: never all of
    /// it, as the driver needs some.
    pub fn on_card(&self, total: u64) -> u64 {
        let usable = bytes(total as f64 * (1.0 - RESERVE));
        self.bytes.map_or(usable, |limit| limit.min(usable))
    }

    /// What each of `workers` that share such a card may use.
    pub fn share(&self, total: u64, workers: u64) -> u64 {
        self.on_card(total) / workers.max(1)
    }
}

/// Bytes as GB for people: `24`, or `33.7`.
pub fn gb(bytes: u64) -> String {
    let text = format!("{:.1}", bytes as f64 / GB);
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn bytes(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use super::{Limit, LimitError, Source, gb};

    const CARD: u64 = 32_000_000_000;

    fn sources() -> [Source; 5] {
        [
            Source::Variable,
            Source::Argument("resources.gpu_memory_gb=2".into()),
            Source::Config("config.yaml:5:18".into()),
            Source::Project(".explr/gpu_memory.json".into()),
            Source::User("/home/me/.config/explr/gpu_memory.json".into()),
        ]
    }

    /// Every set of sources: the first of them that gives something counts.
    #[test]
    fn the_first_source_that_gives_a_limit_counts() {
        for set in 0..1_u32 << 5 {
            let given = |at: usize| set & (1 << at) != 0;
            // Reversed, as their order must not matter.
            let limits = (0..5).rev().filter(|at| given(*at));
            let limits = limits.map(|at| (sources()[at].clone(), (at + 1).to_string()));
            let limit = Limit::choose(limits).unwrap();
            let first = (0..5).find(|at| given(*at));
            let (source, gb) = first.map_or((Source::Default, 24), |at| {
                (sources()[at].clone(), at as u64 + 1)
            });
            let bytes = Some(gb * 1_000_000_000);
            assert_eq!(limit, Limit { bytes, source }, "set {set:05b}");
        }
    }

    #[test]
    fn a_bad_value_is_refused_by_the_name_of_its_source() {
        for source in sources() {
            let refused = |text: &str| {
                let given = [(source.clone(), text.to_owned())];
                let error = Limit::choose(given).unwrap_err();
                let said = error.to_string();
                assert!(said.starts_with(&source.to_string()), "{said}");
                assert!(said.contains(text) && said.contains("help: "), "{said}");
                error
            };
            for text in ["-1", "-0.001", "-inf"] {
                assert!(
                    matches!(refused(text), LimitError::Negative { .. }),
                    "{text}"
                );
            }
            for text in ["24GB", "much", "NaN", "inf", "1e999", "1,5", "0x10"] {
                assert!(
                    matches!(refused(text), LimitError::NotANumber { .. }),
                    "{text}"
                );
            }
            let limit = Limit::choose([(source.clone(), "32.1".into())]).unwrap();
            let said = limit.check(CARD).unwrap_err().to_string();
            assert!(said.starts_with(&source.to_string()), "{said}");
            assert!(
                said.contains("32.1 GB") && said.contains("(32 GB)"),
                "{said}"
            );
        }
    }

    #[test]
    fn what_is_outweighed_is_not_looked_at() {
        let limit = Limit::choose([
            (Source::User("u".into()), "much".into()),
            (Source::Variable, " 8 ".into()),
        ]);
        assert_eq!(limit.unwrap().bytes, Some(8_000_000_000));
    }

    #[test]
    fn an_empty_variable_gives_nothing() {
        let limit = Limit::choose([(Source::Variable, " ".into())]).unwrap();
        assert_eq!(limit.source, Source::Default);
    }

    #[test]
    fn workers_never_get_the_whole_card() {
        for (text, on_card) in [
            ("8", 8_000_000_000),
            ("24", 24_000_000_000),
            ("32", 31_040_000_000),
            ("0", 31_040_000_000),
            ("-0", 31_040_000_000),
        ] {
            let limit = Limit::choose([(Source::Variable, text.into())]).unwrap();
            assert_eq!(limit.check(CARD), Ok(()), "{text}");
            assert_eq!(limit.on_card(CARD), on_card, "{text}");
        }
    }

    #[test]
    fn the_default_fits_a_smaller_card_too() {
        let limit = Limit::choose([]).unwrap();
        assert_eq!(limit.check(8_000_000_000), Ok(()));
        assert_eq!(limit.on_card(8_000_000_000), 7_760_000_000);
    }

    #[test]
    fn sizes_have_no_more_digits_than_they_need() {
        for (bytes, text) in [(24_000_000_000, "24"), (33_670_000_000, "33.7"), (0, "0")] {
            assert_eq!(gb(bytes), text);
        }
    }
}
