use super::{Loads, NotForkable, Template};
use crate::report::RunEvent;
use crate::runner::attempt::{Ended, supervise};
use crate::runner::classify::{Exited, Verdict, classify};
use crate::runner::limits::Limits;
use crate::runner::spawn::Spawn;
use crate::runner::stop::{Stop, StopReason};
use crate::store::RunId;
use explr_protocol::control::{Assignment, Code};
use explr_protocol::{
    Answer, Ask, Device, Failure, FailureClass, Outcome, RunContext, TrainingResult, TrialRef,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::Notify;

/// The folder of cargo's output for this test's profile, and what of it the
/// tests need: the command, and the plugin of `tests/plugins`.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let here = std::env::current_exe().unwrap();
        let folder = here.ancestors().nth(2).unwrap().to_owned();
        let profile = match folder.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            profile => profile,
        };
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (package, from) in [
            ("explr", root.to_owned()),
            ("fixture", root.join("tests/plugins")),
        ] {
            let status = Command::new(env!("CARGO"))
                .args([
                    "build",
                    "--quiet",
                    "--profile",
                    profile,
                    "--package",
                    package,
                ])
                .arg("--target-dir")
                .arg(folder.parent().unwrap())
                .current_dir(from)
                .status()
                .unwrap();
            assert!(status.success());
        }
        folder
    })
}

/// Runs of one template, without a store.
struct Lab {
    folder: TempDir,
    spawn: Spawn,
}

/// A run that has ended.
struct Done {
    ended: Ended,
    folder: PathBuf,
}

impl Lab {
    async fn new() -> Self {
        let mut lab = Self::without_template();
        let template = lab.template(&built().join("libfixture.so")).await.unwrap();
        lab.spawn.template = Some(Arc::new(template));
        lab
    }

    fn without_template() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let spawn = Spawn {
            program: built().join("explr"),
            arguments: vec!["worker".into()],
            environment: vec![("OMP_NUM_THREADS".into(), "1".into())],
            folder: folder.path().to_owned(),
            run_id: String::new(),
            log: folder.path().join("template.log"),
            template: None,
        };
        Self { folder, spawn }
    }

    async fn template(&self, plugin: &Path) -> Result<Template, NotForkable> {
        let loads = Loads {
            code: Code::Plugin {
                path: plugin.to_owned(),
                libtorch: None,
            },
            device: Device::Cpu,
        };
        Template::start(&self.spawn, loads).await
    }

    fn is_gone(&self) -> bool {
        self.spawn.template.as_ref().unwrap().is_gone()
    }

    async fn run(&self, function: &str, hyperparameters: Value) -> Done {
        let mut no_study = |_| Answer::Continue;
        self.run_with(
            function,
            hyperparameters,
            &[],
            &Stop::new(),
            &mut no_study,
            &mut |_| {},
        )
        .await
    }

    async fn run_with(
        &self,
        function: &str,
        hyperparameters: Value,
        environment: &[(&str, &str)],
        stop: &Stop,
        answer: &mut dyn FnMut(Ask) -> Answer,
        sink: &mut dyn FnMut(RunEvent),
    ) -> Done {
        let run_id = RunId::new().to_string();
        let folder = self.folder.path().join(&run_id);
        for name in ["checkpoints", "artifacts"] {
            std::fs::create_dir_all(folder.join(name)).unwrap();
        }
        let assignment = Assignment {
            code: Code::Plugin {
                path: built().join("libfixture.so"),
                libtorch: None,
            },
            context: RunContext {
                run_id: run_id.clone(),
                experiment: "test".into(),
                function: function.into(),
                hyperparameters: serde_json::from_value(hyperparameters).unwrap(),
                seed: 1,
                device: Device::Cpu,
                threads: 1,
                checkpoint_dir: folder.join("checkpoints"),
                artifact_dir: folder.join("artifacts"),
                attempt: 1,
                time_budget: None,
                trial: Some(TrialRef {
                    study: "test".into(),
                    id: 0,
                    number: 0,
                }),
            },
            journal: folder.join("events.jsonl"),
            system_metrics_interval: None,
        };
        let mut spawn = Spawn {
            run_id,
            log: folder.join("worker.log"),
            ..self.spawn.clone()
        };
        let own = environment.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        spawn.environment.extend(own);
        let limits = Limits {
            wall: None,
            heartbeat: Duration::from_secs(60),
            progress: None,
            grace: Duration::from_secs(60),
        };
        let stop = stop.subscribe();
        let ended = supervise(&spawn, assignment, limits, stop, &mut || None, answer, sink)
            .await
            .unwrap();
        Done { ended, folder }
    }
}

impl Done {
    fn result(&self) -> TrainingResult {
        match classify(&self.ended.evidence) {
            Verdict::Result(result) => result,
            other => panic!("{other:?}"),
        }
    }

    fn failure(&self) -> Failure {
        match classify(&self.ended.evidence) {
            Verdict::Failure(failure) => failure,
            other => panic!("{other:?}"),
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("worker.log")).unwrap()
    }
}

fn is_alive(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").starts_with(" Z"))
}

fn parent(pid: i32) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    after_name
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

async fn ends(pid: i32) {
    let ended = async {
        while is_alive(pid) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended)
        .await
        .unwrap();
}

#[tokio::test]
async fn many_workers_of_one_template_run_and_finish() {
    let lab = Lab::new().await;
    let lane = async |lane: i64| {
        for round in 0..25 {
            let steps = 1 + lane + round % 3;
            let done = lab.run("descend", json!({ "steps": steps })).await;
            assert_eq!(done.ended.evidence.exited, Exited::Code(0));
            let left = 0.8_f64.powi(i32::try_from(steps).unwrap());
            assert!((done.result().metrics["x"] - left).abs() < 1e-12);
        }
    };
    tokio::join!(lane(0), lane(1));
    assert!(!lab.is_gone());
}

#[tokio::test]
async fn a_worker_that_crashes_takes_nobody_with_it() {
    let lab = Lab::new().await;
    let (sibling, crash) = tokio::join!(
        lab.run("descend", json!({ "steps": 50, "pause_ms": 5 })),
        lab.run("segfaults", json!({})),
    );
    let failure = crash.failure();
    assert_eq!(failure.class, FailureClass::Signal);
    assert!(failure.message.contains("SIGSEGV"), "{failure:?}");
    assert_eq!(failure.log_tail, ["about to crash"]);
    sibling.result();
    lab.run("descend", json!({})).await.result();
}

#[tokio::test]
async fn every_way_to_die_has_the_class_of_a_fresh_worker() {
    let lab = Lab::new().await;
    for (function, class, message) in [
        ("aborts", FailureClass::Abort, "SIGABRT"),
        (
            "throws",
            FailureClass::Abort,
            "the tensor library is unhappy",
        ),
        ("exits", FailureClass::Exit, "code 3"),
        ("panics", FailureClass::Panic, "index out of bounds"),
        ("errors", FailureClass::Error, "No such file"),
        ("not_a_number", FailureClass::Nan, "NaN"),
        ("descends", FailureClass::Plugin, "did you mean `descend`?"),
    ] {
        let failure = lab.run(function, json!({})).await.failure();
        assert_eq!(failure.class, class, "{function}: {failure:?}");
        assert!(failure.message.contains(message), "{function}: {failure:?}");
    }
}

#[tokio::test]
async fn workers_end_with_their_template() {
    let lab = Lab::new().await;
    let mut worker = 0;
    let mut no_study = |_| Answer::Continue;
    let mut kill_template = |event| match event {
        RunEvent::Started { pid, .. } => worker = i32::try_from(pid.unwrap()).unwrap(),
        RunEvent::Progress(_) => kill(Pid::from_raw(parent(worker)), Signal::SIGKILL).unwrap(),
        _ => {}
    };
    let stop = Stop::new();
    let done = lab
        .run_with(
            "hangs",
            json!({}),
            &[],
            &stop,
            &mut no_study,
            &mut kill_template,
        )
        .await;
    assert_eq!(done.ended.evidence.exited, Exited::Lost);
    assert!(done.failure().message.contains("template process"));
    ends(worker).await;
    assert!(lab.is_gone());
    let template = lab.spawn.template.as_ref().unwrap();
    let refused = template.fork(RunId::new().as_str(), &[]).await.err();
    assert!(refused.unwrap().to_string().contains("has ended"));
}

#[tokio::test]
async fn a_signal_to_the_template_disturbs_no_worker() {
    let lab = Lab::new().await;
    let stop = Stop::new();
    let mut worker = 0;
    let mut no_study = |_| Answer::Continue;
    let mut terminate = |event| match event {
        RunEvent::Started { pid, .. } => worker = i32::try_from(pid.unwrap()).unwrap(),
        RunEvent::Progress(_) if !stop.is_raised() => {
            kill(Pid::from_raw(parent(worker)), Signal::SIGTERM).unwrap();
            stop.raise(StopReason::Program);
        }
        _ => {}
    };
    let done = lab
        .run_with(
            "waits",
            json!({}),
            &[],
            &stop,
            &mut no_study,
            &mut terminate,
        )
        .await;
    done.result();
    lab.run("descend", json!({})).await.result();
}

#[tokio::test]
async fn workers_end_when_nobody_holds_their_template() {
    let lab = Lab::new().await;
    let started = std::cell::Cell::new(None);
    let begun = Notify::new();
    let mut no_study = |_| Answer::Continue;
    let mut note = |event| match event {
        RunEvent::Started { pid, .. } => started.set(pid),
        RunEvent::Progress(_) => begun.notify_one(),
        _ => {}
    };
    let stop = Stop::new();
    tokio::select! {
        _ = lab.run_with("hangs", json!({}), &[], &stop, &mut no_study, &mut note) => {
            unreachable!("it hangs");
        }
        () = begun.notified() => {}
    }
    drop(lab);
    ends(i32::try_from(started.get().unwrap()).unwrap()).await;
}

#[tokio::test]
async fn what_a_forked_worker_leaves_behind_is_ended() {
    let lab = Lab::new().await;
    let done = lab.run("has_children", json!({ "return": true })).await;
    done.result();
    let pids = std::fs::read_to_string(done.folder.join("artifacts/pids")).unwrap();
    for pid in pids.split(' ') {
        ends(pid.parse().unwrap()).await;
    }
}

#[tokio::test]
async fn each_worker_has_its_own_environment_and_output() {
    let lab = Lab::new().await;
    for given in ["first", "second", ""] {
        let environment = match given {
            "" => &[][..],
            given => &[("FIXTURE", given)][..],
        };
        let done = lab
            .run_with(
                "environment",
                json!({}),
                environment,
                &Stop::new(),
                &mut |_| Answer::Continue,
                &mut |_| {},
            )
            .await;
        let log = done.log();
        for line in [
            &format!("FIXTURE={given}\n"),
            "OMP_NUM_THREADS=1\n",
            "threads=1 seed=1\n",
        ] {
            assert!(log.contains(line), "{log}");
        }
    }
}

#[tokio::test]
async fn a_variable_that_would_come_too_late_is_refused() {
    let lab = Lab::new().await;
    let template = lab.spawn.template.as_ref().unwrap();
    let threads = [("OMP_NUM_THREADS".to_owned(), "2".to_owned())];
    let refused = template.fork(RunId::new().as_str(), &threads).await.err();
    let message = refused.unwrap().to_string();
    assert!(message.contains("`OMP_NUM_THREADS`"), "{message}");
}

#[tokio::test]
async fn the_study_answers_what_a_forked_worker_asks() {
    let lab = Lab::new().await;
    let mut questions = Vec::new();
    let mut study = |question: Ask| {
        questions.push(question.clone());
        match question {
            Ask::Report { step: 3, .. } => Answer::Prune,
            Ask::Report { .. } => Answer::Continue,
            Ask::Suggest { name, .. } => Answer::Value(match name.as_str() {
                "x" => json!(-0.25),
                "layers" => json!(4),
                _ => json!("b"),
            }),
        }
    };
    let done = lab
        .run_with(
            "searches",
            json!({}),
            &[],
            &Stop::new(),
            &mut study,
            &mut |_| {},
        )
        .await;
    assert_eq!(classify(&done.ended.evidence), Verdict::Pruned);
    let last = done.ended.evidence.outcome.clone();
    assert_eq!(
        last,
        Some(Outcome::Pruned {
            step: 3,
            value: 0.3125
        })
    );
    assert_eq!(questions.len(), 7);
    assert_eq!(done.log(), "x=-0.25 layers=4 name=b\n");
}

#[tokio::test]
async fn a_forked_worker_stops_when_asked() {
    let lab = Lab::new().await;
    let stop = Stop::new();
    let done = lab
        .run_with(
            "waits",
            json!({}),
            &[],
            &stop,
            &mut |_| Answer::Continue,
            &mut |event| {
                if matches!(event, RunEvent::Progress(_)) && !stop.is_raised() {
                    stop.raise(StopReason::Program);
                }
            },
        )
        .await;
    assert_eq!(done.ended.stopped, Some(StopReason::Program));
    assert!(done.result().stopped_early);
}

#[tokio::test]
async fn a_plugin_that_can_not_be_opened_is_not_forkable() {
    let lab = Lab::without_template();
    let refused = lab
        .template(Path::new("/no/such/plugin.so"))
        .await
        .unwrap_err();
    assert!(refused.why.contains("/no/such/plugin.so"), "{refused}");
}

/// A plugin without functions, with this C code beside it.
fn compile(folder: &Path, code: &str) -> PathBuf {
    let source = folder.join("plugin.c");
    let table = "#include <stddef.h>\n#include <stdint.h>\n\
         static const struct { uint32_t abi; const char *sdk; const char *torch; size_t count; \
         const void *functions; } table = {2, \"0.1.0\", \"\", 0, NULL};\n\
         const void *explr_plugin(void) { return &table; }\n";
    std::fs::write(&source, format!("{table}{code}")).unwrap();
    let library = folder.join("libplugin.so");
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-pthread", "-o"])
        .args([&library, &source])
        .status()
        .unwrap();
    assert!(status.success());
    library
}

#[tokio::test]
async fn a_plugin_that_starts_a_thread_is_not_forkable() {
    let lab = Lab::without_template();
    let plugin = compile(
        lab.folder.path(),
        "#include <pthread.h>\n#include <unistd.h>\n\
         static void *idle(void *nothing) { for (;;) pause(); }\n\
         __attribute__((constructor)) static void start(void) {\n\
             pthread_t thread; pthread_create(&thread, NULL, idle, NULL); }\n",
    );
    let refused = lab.template(&plugin).await.unwrap_err();
    assert!(refused.why.contains("has 2 threads"), "{refused}");
}

#[tokio::test]
async fn a_plugin_that_crashes_while_it_is_opened_is_not_forkable() {
    let lab = Lab::without_template();
    let plugin = compile(
        lab.folder.path(),
        "#include <stdlib.h>\n\
         __attribute__((constructor)) static void start(void) { abort(); }\n",
    );
    let refused = lab.template(&plugin).await.unwrap_err();
    assert!(refused.why.contains("SIGABRT"), "{refused}");
}
