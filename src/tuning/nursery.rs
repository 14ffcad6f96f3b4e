use crate::config::Start;
use crate::runner::{Granted, Opens, Spawn, Template};
use explr_protocol::control;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Where the workers of a study come from: a template that has the plugin
/// open and forks them in milliseconds, or nowhere, and then each is started
/// afresh.
#[derive(Debug)]
pub(super) struct Nursery {
    state: Mutex<State>,
    spawn: Option<(Spawn, Opens)>,
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
    pub(super) fn new(start: Start, code: &control::Code, granted: &Granted, log: PathBuf) -> Self {
        let spawn = match (start, code, std::env::current_exe()) {
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
        }
    }

    /// A template that runs, started if need be. None where workers have to
    /// be started afresh; `note` is told why, once.
    pub(super) async fn template(&self, note: impl FnOnce(String)) -> Option<Arc<Template>> {
        let (spawn, opens) = self.spawn.as_ref()?;
        let mut state = self.state.lock().await;
        match &*state {
            State::Ready(template) if !template.is_gone() => return Some(Arc::clone(template)),
            State::Barren => return None,
            State::Ready(_) | State::Empty => {}
        }
        match Template::start(spawn, opens.clone()).await {
            Ok(template) => {
                let template = Arc::new(template);
                *state = State::Ready(Arc::clone(&template));
                Some(template)
            }
            Err(error) => {
                *state = State::Barren;
                note(format!("{error}; each is started afresh"));
                None
            }
        }
    }
}
