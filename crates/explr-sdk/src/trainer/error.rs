/// Why a training can't begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainerError {
    /// A setting that makes no sense.
    #[error("the trainer's `{key}` {problem}")]
    Setting {
        /// The setting's name.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A name that nothing has.
    #[error("the trainer has no {kind} named `{name}`; there is {}", names(.known))]
    Unknown {
        /// `model` or `optimiser`.
        kind: &'static str,
        /// The name.
        name: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// A name that can't be used, or was used before.
    #[error("the {kind}'s name `{name}` {problem}")]
    Name {
        /// `model` or `optimiser`.
        kind: &'static str,
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A loss that is NaN or infinite.
    #[error(
        "the loss was not finite within the last {steps} steps before step {step}; try a smaller \
         learning rate or `clip_norm`, and look for invalid input"
    )]
    NotFinite {
        /// How many steps are looked at together.
        steps: u64,
        /// Steps done.
        step: u64,
    },
    /// The monitored value is none that a validation gives.
    #[error("`{monitor}` is monitored, but the validation gives {}", names(.known))]
    Monitor {
        /// Its name.
        monitor: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// A data loader without a batch.
    #[error("the {0} loader has no batch; look at its data set, batch size and `drop_last`")]
    Empty(&'static str),
    /// The result of a training that never validated.
    #[error("there is no value of `{0}` for the result: no validation was done")]
    NoResult(String),
    /// A checkpoint of a training with other callbacks.
    #[error("the checkpoint is of a training with other callbacks or schedules: {0}")]
    State(String),
}

fn names(known: &[String]) -> String {
    let quoted: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => "none".to_owned(),
        all => all.join(", "),
    }
}
