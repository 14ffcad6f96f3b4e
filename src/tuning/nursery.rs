use crate::config::{Start, WorkerConfig};
use crate::runner::{Granted, Launch, Loads, RunError, Spawn, Template};
use explr_protocol::control;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// Where the workers of a study come from: a template that has the code
/// loaded and forks them in milliseconds, or nowhere, and then each is started
/// afresh.
#[derive(Debug)]
pub(super) struct Nursery {
    state: Mutex<State>,
    spawn: Option<(Spawn, Loads)>,
    /// How long the code may take to load.
    limit: Duration,
}

#[derive(Debug)]
enum State {
    /// There is no template yet, or the one there was has ended.
    Empty,
    Ready(Arc<Template>),
    /// Workers can't be forked.
    Barren,
}

impl Nursery {
    /// A nursery for `code`. Its templates print to `log`.
    pub(super) fn new(
        worker: &WorkerConfig,
        code: &control::Code,
        granted: &Granted,
        log: PathBuf,
    ) -> Result<Self, RunError> {
        let launch = match worker.start {
            Start::Auto | Start::Fork => Launch::template(code)?,
            Start::Fresh => None,
        };
        let spawn = launch.map(|launch| {
            let environment = launch.environment(granted, worker)?;
            let spawn = Spawn {
                program: launch.program,
                arguments: launch.arguments,
                environment,
                folder: std::env::current_dir().unwrap_or_default(),
                run_id: String::new(),
                log,
                template: None,
            };
            let loads = Loads {
                code: code.clone(),
                device: granted.device,
            };
            Ok::<_, RunError>((spawn, loads))
        });
        Ok(Self {
            state: Mutex::new(State::Empty),
            spawn: spawn.transpose()?,
            limit: worker.heartbeat_timeout.0,
        })
    }

    /// A template that runs, started if need be. None where workers have to
    /// be started afresh; `note` is told why, once. An error where the code
    /// hangs, as it would in a fresh worker too.
    pub(super) async fn template(
        &self,
        note: impl FnOnce(String),
    ) -> Result<Option<Arc<Template>>, RunError> {
        let Some((spawn, loads)) = &self.spawn else {
            return Ok(None);
        };
        let mut state = self.state.lock().await;
        match &*state {
            State::Ready(template) if !template.is_gone() => return Ok(Some(Arc::clone(template))),
            State::Barren => return Ok(None),
            State::Ready(_) | State::Empty => {}
        }
        let start = Template::start(spawn, loads.clone());
        let started = tokio::time::timeout(self.limit, start).await;
        match started.map_err(|_| self.hang(spawn, loads))? {
            Ok(template) => {
                let template = Arc::new(template);
                *state = State::Ready(Arc::clone(&template));
                Ok(Some(template))
            }
            Err(error) => {
                *state = State::Barren;
                note(format!("{error}; each is started afresh"));
                Ok(None)
            }
        }
    }

    fn hang(&self, spawn: &Spawn, loads: &Loads) -> RunError {
        let code = match &loads.code {
            control::Code::Plugin { path, .. } => format!("the plugin {}", path.display()),
            control::Code::Python(python) => format!("`{}`", python.target),
            control::Code::Program | control::Code::Command(_) => "this program".to_owned(),
        };
        RunError::CodeHangs {
            code,
            limit: self.limit,
            log: spawn.log.clone(),
        }
    }
}
