use explr::store::{MetricSummary, RunDir, RunSummary, StudyRef, StudyRole};
use explr_protocol::{Direction, Failure, RunState, TrainingResult, number};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A run as the tables and the JSON of `explr runs` show it.
#[derive(Debug, Serialize)]
pub(super) struct View {
    pub(super) id: String,
    pub(super) short: String,
    pub(super) experiment: Option<String>,
    pub(super) state: Shown,
    /// A process works on it.
    pub(super) live: bool,
    pub(super) attempt: u32,
    pub(super) created_ms: u64,
    pub(super) started_ms: Option<u64>,
    pub(super) ended_ms: Option<u64>,
    pub(super) duration_ms: u64,
    pub(super) primary: Option<Primary>,
    pub(super) failure: Option<Failure>,
    pub(super) hyperparameters: Map<String, Value>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) metrics: BTreeMap<String, MetricSummary>,
    /// Its place in a study.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) study: Option<StudyRef>,
    pub(super) path: PathBuf,
    /// Why the run can't be read in whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

/// A run's state, or that it can't be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(super) enum Shown {
    Created,
    Running,
    Completed,
    Failed,
    Pruned,
    Interrupted,
    /// Its journal or manifest can't be read.
    Damaged,
}

impl From<RunState> for Shown {
    fn from(state: RunState) -> Self {
        match state {
            RunState::Created => Self::Created,
            RunState::Running => Self::Running,
            RunState::Completed => Self::Completed,
            RunState::Failed => Self::Failed,
            RunState::Pruned => Self::Pruned,
            RunState::Interrupted => Self::Interrupted,
        }
    }
}

impl Shown {
    pub(super) fn run_state(self) -> Option<RunState> {
        match self {
            Self::Created => Some(RunState::Created),
            Self::Running => Some(RunState::Running),
            Self::Completed => Some(RunState::Completed),
            Self::Failed => Some(RunState::Failed),
            Self::Pruned => Some(RunState::Pruned),
            Self::Interrupted => Some(RunState::Interrupted),
            Self::Damaged => None,
        }
    }

    fn as_str(self) -> &'static str {
        self.run_state().map_or("damaged", RunState::as_str)
    }
}

/// The metric that a run is judged by.
#[derive(Debug, Serialize)]
pub(super) struct Primary {
    pub(super) name: String,
    #[serde(with = "number")]
    pub(super) value: f64,
    pub(super) direction: Direction,
    /// Best value that was logged under the name, if any was.
    pub(super) best: Option<Value>,
}

impl View {
    pub(super) fn of(run: &RunDir, now_ms: u64) -> Self {
        let manifest = run.manifest();
        let summary = run.summary();
        let live = run.is_locked().unwrap_or(false);
        let error = match (&manifest, &summary) {
            (_, Err(error)) | (Err(error), _) => Some(error.to_string()),
            _ => None,
        };
        let state = summary
            .as_ref()
            .map_or(Shown::Damaged, |summary| summary.state.into());
        let manifest = manifest.ok();
        let summary = summary.unwrap_or_default();
        Self {
            id: run.id().to_string(),
            short: run.id().short().to_owned(),
            created_ms: manifest
                .as_ref()
                .map_or(run.id().created_ms(), |m| m.created_ms),
            state: if manifest.is_none() {
                Shown::Damaged
            } else {
                state
            },
            live,
            attempt: summary.attempt,
            started_ms: summary.started_ms,
            ended_ms: summary.ended_ms,
            duration_ms: summary.duration_ms(if live {
                now_ms
            } else {
                summary.last_ms.unwrap_or(0)
            }),
            primary: summary
                .result
                .as_ref()
                .map(|result| primary(result, &summary)),
            failure: summary.failure,
            experiment: manifest
                .as_ref()
                .map(|manifest| manifest.experiment.clone()),
            study: manifest
                .as_ref()
                .and_then(|manifest| manifest.study.clone()),
            hyperparameters: manifest
                .map(|manifest| manifest.hyperparameters)
                .unwrap_or_default(),
            tags: summary.tags,
            metrics: summary.metrics,
            path: run.path().to_owned(),
            error,
        }
    }

    /// Whether it is a trial of a study.
    pub(super) fn is_trial(&self) -> bool {
        let role = self.study.as_ref().map(|study| &study.role);
        matches!(role, Some(StudyRole::Trial { .. }))
    }

    /// The state with what is worth knowing about it.
    pub(super) fn state_text(&self) -> String {
        let state = self.state.as_str();
        match (&self.failure, self.state) {
            (Some(failure), Shown::Failed) => format!("{state} ({})", failure.class),
            (_, Shown::Created | Shown::Running) if !self.live => format!("{state} (no process)"),
            _ => state.to_owned(),
        }
    }

    /// The final value of a metric: the result's if it is the primary one.
    pub(super) fn value(&self, metric: &str) -> Option<f64> {
        match &self.primary {
            Some(primary) if primary.name == metric => Some(primary.value),
            _ => self.metrics.get(metric).map(|found| found.last),
        }
    }
}

fn primary(result: &TrainingResult, summary: &RunSummary) -> Primary {
    let name = &result.primary_metric_name;
    let best = summary.metrics.get(name).map(|metric| {
        let best = match result.direction {
            Direction::Minimize => metric.min,
            Direction::Maximize => metric.max,
        };
        number::to_value(best)
    });
    Primary {
        name: name.clone(),
        value: result.primary_metric,
        direction: result.direction,
        best,
    }
}
