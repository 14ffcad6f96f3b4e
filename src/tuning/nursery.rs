use crate::config::{Start, WorkerConfig};
use crate::runner::{Granted, Opens, RunError, Spawn, Template};
use explr_protocol::control;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// Where the workers of a study come from: a template that has the plugin
/// open and forks them in milliseconds, or nowhere, and then each is started
/// afresh.
#[derive(Debug)]
pub(super) struct Nursery {
    state: Mutex<State>,
    spawn: Option<(Spawn, Opens)>,
    /// How long a plugin may take to open.
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
    ) -> Self {
        let spawn = match (worker.start, code, std::env::current_exe()) {
            (Start::Auto | Start::Fork, control::Code::Plugin { path, libtorch }, Ok(program)) => {
                let spawn = Spawn {
                    program,
                    arguments: vec!["worker".into()],
                    environment: granted.environment.clone(),
                    folder: std::env::current_dir().unwrap_or_default(),
                    run_id: String::new(),
                    log,
                    template: None,
                };
                let opens = Opens {
                    plugin: path.clone(),
                    libtorch: libtorch.clone(),
                    device: granted.device,
                };
                Some((spawn, opens))
            }
            _ => None,
        };
        Self {
            state: Mutex::new(State::Empty),
            spawn,
            limit: worker.heartbeat_timeout.0,
        }
    }

    /// A template that runs, started if need be. None where workers have to
    /// be started afresh; `note` is told why, once. An error where the plugin
    /// hangs, as it would in a fresh worker too.
    pub(super) async fn template(
        &self,
        note: impl FnOnce(String),
    ) -> Result<Option<Arc<Template>>, RunError> {
        let Some((spawn, opens)) = &self.spawn else {
            return Ok(None);
        };
        let mut state = self.state.lock().await;
        match &*state {
            State::Ready(template) if !template.is_gone() => return Ok(Some(Arc::clone(template))),
            State::Barren => return Ok(None),
            State::Ready(_) | State::Empty => {}
        }
        let start = Template::start(spawn, opens.clone());
        let started = tokio::time::timeout(self.limit, start).await;
        match started.map_err(|_| self.hang(spawn, opens))? {
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

    fn hang(&self, spawn: &Spawn, opens: &Opens) -> RunError {
        RunError::PluginHangs {
            plugin: opens.plugin.clone(),
            limit: self.limit,
            log: spawn.log.clone(),
        }
    }
}
