use crate::report::Silent;
use crate::report::study::StudyReporter;
use crate::runner::Stop;
use crate::tuning::{self, Chosen, StudyOutcome, SweepRequest};
use crate::{Error, Experiment};

/// Several experiments that are run side by side, without a search.
///
/// What has completed is remembered under the sweep's name: run again, it does
/// what is missing.
#[derive(Debug, Clone)]
pub struct Sweep {
    name: String,
    entries: Vec<(Chosen, Experiment)>,
    stop: Stop,
}

impl Sweep {
    /// A sweep of this name, with nothing in it.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            entries: Vec::new(),
            stop: Stop::new(),
        }
    }

    /// Adds an experiment. `chosen` says what distinguishes it from the
    /// others.
    pub fn add(mut self, chosen: Chosen, experiment: Experiment) -> Self {
        self.entries.push((chosen, experiment));
        self
    }

    /// The handle that stops this sweep from another thread.
    pub fn stop_handle(&self) -> Stop {
        self.stop.clone()
    }

    /// Runs what is missing, and shows nothing.
    pub fn run(&self) -> Result<StudyOutcome, Error> {
        self.run_with(&mut Silent)
    }

    /// The same, telling `reporter` what happens.
    pub fn run_with(&self, reporter: &mut dyn StudyReporter) -> Result<StudyOutcome, Error> {
        let entries = self.entries.iter();
        let entries = entries
            .map(|(chosen, experiment)| Ok((chosen.clone(), experiment.loaded()?)))
            .collect::<Result<_, Error>>()?;
        let request = SweepRequest {
            name: self.name.clone(),
            entries,
            command: crate::experiment::command(),
        };
        tuning::sweep(&request, &self.stop, reporter)
    }
}
