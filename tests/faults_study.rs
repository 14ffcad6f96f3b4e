//! What goes wrong around a study, and what is left of it (`docs/faults.md`).

#![allow(clippy::unwrap_used)]

mod common;

use common::{
    Project, Running, build_plugins, fixture, limit_files, processes_of, stderr, wait_for,
};
use explr_protocol::RunState;
use explr_study::{History, TrialState};
use nix::sys::signal::Signal;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const SPACE: &str =
    "search_space:\n  x: {type: float, low: -5, high: 5}\n  y: {type: float, low: -5, high: 5}\n";

fn start(project: &Project, arguments: &[&str]) -> Running {
    let child = project
        .explr()
        .args(["tune", "config.yaml"])
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Running(child)
}

/// Waits until the study has finished so many trials.
fn wait_for_trials(project: &Project, count: usize) -> History {
    wait_for("trials to finish", || {
        let history = project.try_history("test")?;
        let finished = history
            .trials()
            .iter()
            .filter(|trial| trial.state.is_finished())
            .count();
        (finished >= count).then_some(history)
    })
}

fn states(history: &History) -> [usize; 4] {
    [
        TrialState::Complete,
        TrialState::Failed,
        TrialState::Running,
        TrialState::Waiting,
    ]
    .map(|state| history.count(state))
}

#[test]
fn failed_trials_are_recorded_with_their_reason_and_the_study_goes_on() {
    for (function, class) in [
        ("segfaults", "signal"),
        ("panics", "panic"),
        ("errors", "error"),
        ("aborts", "abort"),
        ("throws", "abort"),
        ("exits", "exit"),
        ("not_a_number", "nan"),
    ] {
        let project = Project::new(function, SPACE);
        let output = project.tune(&["--n-trials", "2"]);
        assert_eq!(
            output.status.code(),
            Some(100),
            "no trial completed: {function}"
        );
        let history = project.history("test");
        assert_eq!(states(&history), [0, 2, 0, 0]);
        for trial in history.trials() {
            let why = trial.user_attrs["explr:failure"].as_str().unwrap();
            assert!(why.starts_with(class), "{function}: {why}");
        }
    }
}

#[test]
fn some_failures_among_many_have_a_code_of_their_own() {
    let project = Project::new("fails_right_of", &format!("{SPACE}seed: 3\n"));
    let output = project.tune(&["--n-trials", "12", "--sampler", "random"]);
    assert_eq!(output.status.code(), Some(5));
    let history = project.history("test");
    let [complete, failed, ..] = states(&history);
    assert!(complete > 0 && failed > 0 && complete + failed == 12);
    let budget = (failed + 1).to_string();
    let within = [
        "--study",
        "again",
        "--n-trials",
        "12",
        "--sampler",
        "random",
        "--max-fail",
        &budget,
    ];
    assert_eq!(project.tune(&within).status.code(), Some(0));
}

#[test]
fn too_many_failures_end_the_study() {
    let project = Project::new("errors", SPACE);
    let output = project.tune(&["--n-trials", "50", "--max-fail", "3"]);
    assert_eq!(output.status.code(), Some(101));
    assert_eq!(project.history("test").trials().len(), 3);
    let fast = project.tune(&["--study", "fast", "--n-trials", "50", "--fail-fast"]);
    assert_eq!(fast.status.code(), Some(101));
    assert_eq!(project.history("fast").trials().len(), 1);
}

#[test]
fn a_full_disk_ends_the_study_and_it_goes_on_when_there_is_space() {
    let project = Project::new("bowl", SPACE);
    let mut journals = Vec::new();
    // The study's journal is refused at other records each time.
    for limit in (8..24_u64).step_by(3) {
        let study = format!("at-{limit}");
        let arguments = ["--n-trials", "60", "--jobs", "2", "--study", &study];
        let output = tune_in_little_space(&project, limit << 10, &arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(9), "{said}");
        assert!(said.contains(&format!("{study}.journal")), "{said}");
        let before = project.history(&study);
        assert_eq!(before.count(TrialState::Failed), 0);
        let complete = before.count(TrialState::Complete);
        assert!((1..60).contains(&complete), "{complete}");

        let total = (before.trials().len() + 2).to_string();
        let again = ["--study", &study, "--n-trials", &total];
        assert_eq!(project.tune(&again).status.code(), Some(0));
        let after = project.history(&study);
        assert_eq!(states(&after), [before.trials().len() + 2, 0, 0, 0]);
        for (old, new) in before.trials().iter().zip(after.trials()) {
            assert_eq!((old.number, &old.params), (new.number, &new.params));
            if old.state == TrialState::Complete {
                assert_eq!(old.values, new.values);
            }
        }
        journals.push(complete);
    }
    assert!(journals.is_sorted(), "{journals:?}");
}

#[test]
fn a_store_that_can_not_be_written_is_found_before_any_trial() {
    let project = Project::new("bowl", SPACE);
    std::fs::write(project.path().join("file"), "").unwrap();
    let output = project.tune(&["store=file/store"]);
    assert_eq!(output.status.code(), Some(9));
}

#[test]
fn a_second_interrupt_kills_what_does_not_stop() {
    let project = Project::new("hangs", &format!("{SPACE}worker: {{grace: 1h}}\n"));
    let mut explr = start(&project, &["--jobs", "2"]);
    wait_for("both trials to log", || {
        let history = project.try_history("test")?;
        let runs = history.trials().iter();
        let logs = runs
            .filter_map(|trial| project.try_run_of(trial)?.summary().ok())
            .filter(|summary| !summary.metrics.is_empty());
        (logs.count() == 2).then_some(())
    });
    // Signals that come too fast are one: again until it is enough.
    let ended = wait_for("the study to end", || {
        explr.signal(Signal::SIGINT);
        explr.0.try_wait().unwrap()
    });
    assert_eq!(ended.code(), Some(130));
    assert_eq!(states(&project.history("test")), [0, 0, 0, 2]);
    for run in project.store().runs().unwrap() {
        assert_eq!(processes_of(&run), [0; 0]);
    }
}

#[test]
fn names_of_studies_do_not_lead_out_of_the_store() {
    let project = Project::new("bowl", SPACE);
    let output = project.tune(&["--study", "../outside"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(!project.path().join(".explr").exists());
}

#[test]
fn secrets_reach_the_trials_and_stay_out_of_what_is_stored() {
    let more = format!("{SPACE}hyperparameters: {{api_key: \"${{env:THE_KEY}}\"}}\n");
    let project = Project::new("echoes", &more);
    let mut command = project.explr();
    command.args(["tune", "config.yaml", "--n-trials", "2"]);
    let output = command.env("THE_KEY", "hush-hush").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    // The function counts its parameters.
    assert_eq!(project.history("test").best().unwrap().values, [3.0]);
    let found = Command::new("grep")
        .args(["-rl", "hush-hush"])
        .arg(project.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(found.stdout).unwrap(), "");
}

#[test]
fn a_hung_trial_times_out_and_the_next_one_runs() {
    for (function, limit) in [
        ("hangs", "timeout: 1s"),
        ("freezes", "heartbeat_timeout: 3s"),
        ("hangs", "progress_timeout: 1s"),
    ] {
        let worker = format!("worker: {{{limit}, grace: 0s}}\n");
        let project = Project::new(function, &format!("{SPACE}{worker}"));
        let output = project.tune(&["--n-trials", "3", "--jobs", "2"]);
        assert_eq!(output.status.code(), Some(100));
        let history = project.history("test");
        assert_eq!(states(&history), [0, 3, 0, 0]);
        for trial in history.trials() {
            let why = trial.user_attrs["explr:failure"].as_str().unwrap();
            let key = limit.split(':').next().unwrap();
            assert!(why.starts_with("timeout") && why.contains(key), "{why}");
        }
    }
}

#[test]
fn endless_output_of_trials_is_drained_and_bounded() {
    let more = format!("{SPACE}hyperparameters: {{megabytes: 80}}\n");
    let project = Project::new("prints", &more);
    let output = project.tune(&["--n-trials", "2", "--jobs", "2"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.len() < 1 << 20);
    for trial in project.history("test").trials() {
        let run = project.run_of(trial);
        let kept: u64 = ["worker.log", "worker.log.1"]
            .iter()
            .map(|name| std::fs::metadata(run.path().join(name)).unwrap().len())
            .sum();
        assert!(kept <= 64 << 20, "{kept}");
    }
}

#[test]
fn a_failed_trial_is_repeated_under_its_number_if_the_config_says_so() {
    let project = Project::new("fails_first", &format!("{SPACE}worker: {{retries: 1}}\n"));
    assert_eq!(project.tune(&["--n-trials", "2"]).status.code(), Some(0));
    assert_eq!(states(&project.history("test")), [2, 0, 0, 0]);
}

#[test]
fn a_killed_orchestrator_loses_nothing_and_leaves_nothing_running() {
    let project = Project::new(
        "bowl",
        &format!("{SPACE}hyperparameters: {{pause_ms: 20}}\n"),
    );
    let arguments = ["--n-trials", "12", "--jobs", "2"];
    let mut explr = start(&project, &arguments);
    let before = wait_for_trials(&project, 3);
    explr.signal(Signal::SIGKILL);
    explr.code();
    for run in project.store().runs().unwrap() {
        wait_for("the workers to end", || {
            processes_of(&run).is_empty().then_some(())
        });
    }
    let output = project.tune(&arguments);
    assert_eq!(output.status.code(), Some(0));
    let history = project.history("test");
    assert_eq!(states(&history), [12, 0, 0, 0]);
    for (old, new) in before.trials().iter().zip(history.trials()) {
        assert_eq!(old.number, new.number);
        for (name, assigned) in &old.params {
            assert_eq!(
                new.params[name].internal.to_bits(),
                assigned.internal.to_bits()
            );
        }
        if old.state == TrialState::Complete {
            assert_eq!(old.values, new.values);
        }
    }
    // One run a trial, and the study's own.
    assert_eq!(project.store().runs().unwrap().len(), 13);
}

#[test]
fn the_first_interrupt_lets_trials_stop_and_the_same_command_continues_them() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let project = Project::new(
            "bowl",
            &format!("{SPACE}hyperparameters: {{pause_ms: 50}}\n"),
        );
        let arguments = ["--n-trials", "6", "--jobs", "2"];
        let mut explr = start(&project, &arguments);
        wait_for_trials(&project, 1);
        explr.signal(signal);
        assert_eq!(explr.code(), Some(code));
        let history = project.history("test");
        assert_eq!(history.count(TrialState::Running), 0);
        assert!(history.count(TrialState::Waiting) > 0);
        assert_eq!(project.tune(&arguments).status.code(), Some(0));
        assert_eq!(states(&project.history("test")), [6, 0, 0, 0]);
    }
}

#[test]
fn the_time_limit_has_its_own_code_and_the_study_can_go_on() {
    let project = Project::new(
        "bowl",
        &format!("{SPACE}hyperparameters: {{pause_ms: 100}}\n"),
    );
    let output = project.tune(&["--n-trials", "100", "--timeout", "1s"]);
    assert_eq!(output.status.code(), Some(124));
    let history = project.history("test");
    assert_eq!(history.count(TrialState::Running), 0);
    assert!(history.trials().len() < 100);
}

#[test]
fn a_second_orchestrator_is_told_who_has_the_study() {
    let project = Project::new(
        "bowl",
        &format!("{SPACE}hyperparameters: {{pause_ms: 50}}\n"),
    );
    let mut first = start(&project, &["--n-trials", "50"]);
    wait_for_trials(&project, 1);
    let second = project.tune(&["--n-trials", "50"]);
    assert_eq!(second.status.code(), Some(8));
    let said = stderr(&second);
    assert!(said.contains(&first.pid().to_string()), "{said}");
    first.signal(Signal::SIGKILL);
    first.code();
}

#[test]
fn a_worker_killed_from_outside_takes_nobody_with_it() {
    let project = Project::new(
        "bowl",
        &format!("{SPACE}hyperparameters: {{pause_ms: 50}}\n"),
    );
    let mut explr = start(&project, &["--n-trials", "6", "--jobs", "2"]);
    wait_for("a worker to kill", || {
        let history = project.try_history("test")?;
        let trial = history
            .trials()
            .iter()
            .find(|trial| trial.state == TrialState::Running)?;
        let run = project.try_run_of(trial)?;
        let victim = processes_of(&run).first().copied()?;
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(victim), Signal::SIGKILL).ok()
    });
    assert_eq!(explr.code(), Some(5));
    let [complete, failed, running, waiting] = states(&project.history("test"));
    assert_eq!([complete + failed, running, waiting], [6, 0, 0]);
    assert!(failed >= 1);
}

#[test]
fn a_damaged_study_journal_is_refused_with_its_line_and_can_be_repaired() {
    let project = Project::new("bowl", SPACE);
    assert_eq!(project.tune(&["--n-trials", "3"]).status.code(), Some(0));
    let before = project.history("test");
    let journal = project.path().join(".explr/studies/test.journal");
    let text = std::fs::read_to_string(&journal).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    let beginnings = lines.iter().enumerate();
    let beginnings = beginnings.filter(|(_, line)| line.starts_with("{\"op_code\":4"));
    let (middle, _) = beginnings.clone().nth(1).unwrap();
    let told = |line: &&str| line.starts_with("{\"op_code\":6");
    let last_told = lines.iter().rposition(told).unwrap();
    for (index, complete, failed) in [(middle, 2, 1), (last_told, 3, 0)] {
        let whole = std::mem::replace(&mut lines[index], "garbage");
        std::fs::write(&journal, lines.join("\n") + "\n").unwrap();
        lines[index] = whole;
        let output = project.tune(&["--n-trials", "3"]);
        assert_eq!(output.status.code(), Some(9));
        let said = stderr(&output);
        let place = format!("test.journal, line {}", index + 1);
        assert!(said.contains(&place), "{said}");
        assert!(said.contains("explr repair --study test"), "{said}");

        let repair = |arguments: &[&str]| {
            let mut command = project.explr();
            let output = command.arg("repair").args(arguments).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            String::from_utf8(output.stdout).unwrap()
        };
        let done = repair(&["--study", "test"]);
        let dropped = format!("dropped line {}", index + 1);
        assert!(
            done.contains(&dropped) && done.contains("journal.damaged-"),
            "{done}"
        );
        assert!(repair(&["--study", "test"]).contains("nothing to repair"));
        assert_eq!(repair(&["--all"]), "");
        // The end of a trial that was lost is in its run's journal too.
        assert_eq!(project.tune(&["--n-trials", "3"]).status.code(), Some(4));
        let after = project.history("test");
        assert_eq!(states(&after), [complete, failed, 0, 0]);
        for (old, new) in before.trials().iter().zip(after.trials()) {
            if new.state == TrialState::Complete {
                assert_eq!((&old.params, &old.values), (&new.params, &new.values));
            }
        }
    }
}

#[test]
fn a_torn_last_line_of_a_study_costs_that_line_alone() {
    use std::io::Write;
    let project = Project::new("bowl", SPACE);
    assert_eq!(project.tune(&["--n-trials", "2"]).status.code(), Some(0));
    let journal = project.path().join(".explr/studies/test.journal");
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(&journal)
        .unwrap();
    file.write_all(b"{\"op_code\":4,\"worker").unwrap();
    assert_eq!(project.tune(&["--n-trials", "4"]).status.code(), Some(0));
    assert_eq!(states(&project.history("test")), [4, 0, 0, 0]);
}

#[test]
fn what_trials_leave_behind_is_ended() {
    let project = Project::new(
        "has_children",
        &format!("{SPACE}hyperparameters: {{return: true}}\n"),
    );
    let output = project.tune(&["--n-trials", "3", "--jobs", "2"]);
    assert_eq!(output.status.code(), Some(0));
    for run in project.store().runs().unwrap() {
        assert_eq!(processes_of(&run), [0; 0]);
    }
}

/// `explr tune`, to its end, with no file longer than `limit` bytes: the kernel
/// refuses writes beyond it, as a full disk does.
fn tune_in_little_space(project: &Project, limit: u64, arguments: &[&str]) -> Output {
    let mut command = project.explr();
    command.args(["tune", "config.yaml"]).args(arguments);
    limit_files(&mut command, limit);
    let output = command.output().unwrap();
    println!("{}", stderr(&output));
    output
}

#[test]
fn a_trial_for_which_the_disk_has_no_room_is_kept_for_later() {
    let project = Project::new(
        "counts",
        "search_space:\n  most: {type: int, low: 4000, high: 5000}\n",
    );
    let arguments = ["--n-trials", "4", "--jobs", "2"];
    let output = tune_in_little_space(&project, 256 << 10, &arguments);
    assert_eq!(output.status.code(), Some(9));
    let said = stderr(&output);
    assert!(said.contains("events.jsonl"), "{said}");
    let history = project.history("test");
    let [complete, failed, running, waiting] = states(&history);
    assert_eq!([complete, failed, running], [0, 0, 0]);
    assert!((1..=2).contains(&waiting), "no new trial was started");
    assert_eq!(project.tune(&arguments).status.code(), Some(0));
    let later = project.history("test");
    assert_eq!(states(&later), [4, 0, 0, 0]);
    for (old, new) in history.trials().iter().zip(later.trials()) {
        assert_eq!(old.params, new.params);
        assert_eq!(new.values, [new.params["most"].internal]);
    }
}

#[test]
fn a_full_gpu_fails_prunes_or_repeats_the_trial_as_the_config_says() {
    for (worker, code, state) in [
        ("{}", 100, TrialState::Failed),
        ("{cuda_oom: prune}", 100, TrialState::Pruned),
        ("{cuda_oom: retry, retries: 1}", 0, TrialState::Complete),
    ] {
        let more = format!("{SPACE}worker: {worker}\n");
        let project = Project::new("fills_the_gpu_first", &more);
        let output = project.tune(&["--n-trials", "2"]);
        assert_eq!(output.status.code(), Some(code), "{worker}");
        let history = project.history("test");
        assert_eq!(history.count(state), 2, "{worker}");
        for trial in history.trials() {
            let why = trial.user_attrs.get("explr:failure");
            let why = why.and_then(|why| why.as_str()).unwrap_or_default();
            let is_named = why.starts_with("cuda_oom") && why.contains("20.00 GiB");
            assert_eq!(is_named, state != TrialState::Complete, "{worker}: {why}");
        }
    }
}

#[test]
fn a_required_server_that_is_down_is_found_before_the_first_trial() {
    let closed = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let mlflow = format!("mlflow: {{tracking_uri: \"http://127.0.0.1:{port}\"}}");
    let project = Project::new("bowl", &format!("{SPACE}{mlflow}\n"));
    let arguments = ["--n-trials", "2", "--require-tracking"];
    let output = project.tune(&arguments);
    assert_eq!(output.status.code(), Some(10));
    assert!(stderr(&output).contains("MLflow is required"));
    assert_eq!(project.history("test").trials().len(), 0);
    let study = project.only_run().summary().unwrap();
    assert_eq!(study.state, RunState::Interrupted);
    let output = project.tune(&["--n-trials", "2", "mlflow=off"]);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_plugin_that_can_not_be_loaded_ends_the_study_and_fails_no_trial() {
    let plugin = build_plugins("release").join("libother_abi.so");
    let project = Project::with_plugin(&plugin, "train_model", SPACE);
    let output = project.tune(&["--n-trials", "20"]);
    assert_eq!(output.status.code(), Some(6));
    let said = stderr(&output);
    assert!(said.contains("version 99"), "{said}");
    assert_eq!(states(&project.history("test")), [0, 0, 0, 1]);
    let mended = format!("{}:bowl", fixture().display());
    let output = project.tune(&["--n-trials", "2", "--train-fn", &mended]);
    assert_eq!(output.status.code(), Some(0));
}

/// A machine with these GPUs, each for one trial at a time.
struct Gpus {
    project: Project,
    drivers: tempfile::TempDir,
}

impl Gpus {
    fn new(names: &[&str], more: &str) -> Self {
        let more = format!("{SPACE}device: auto\nresources: {{gpus: 1}}\n{more}");
        let project = Project::new("loses_gpus", &more);
        let drivers = tempfile::tempdir().unwrap();
        let library = build_plugins("release").join("libfake_nvml.so");
        for name in ["libnvidia-ml.so", "libnvidia-ml.so.1"] {
            std::os::unix::fs::symlink(&library, drivers.path().join(name)).unwrap();
        }
        let gpus = drivers.path().join("gpus");
        std::fs::create_dir(&gpus).unwrap();
        for name in names {
            std::fs::write(gpus.join(name), "").unwrap();
        }
        Self { project, drivers }
    }

    fn tune(&self) -> Output {
        let mut command = self.project.explr();
        command
            .args(["tune", "config.yaml", "--n-trials", "6"])
            .env_remove("LIBTORCH")
            .env_remove("VIRTUAL_ENV")
            .env("LD_LIBRARY_PATH", self.drivers.path())
            .env("FAKE_GPUS", self.drivers.path().join("gpus"));
        let output = command.output().unwrap();
        println!("{}", stderr(&output));
        output
    }
}

#[test]
fn a_lost_gpu_gets_no_more_trials_and_its_trial_runs_elsewhere() {
    for silently in [false, true] {
        let more = format!("hyperparameters: {{lost: GPU-a, silently: {silently}}}\n");
        let gpus = Gpus::new(&["GPU-a", "GPU-b"], &more);
        let output = gpus.tune();
        assert_eq!(output.status.code(), Some(0));
        assert!(stderr(&output).contains("GPU-a is lost"));
        let history = gpus.project.history("test");
        assert_eq!(states(&history), [6, 0, 0, 0]);
        let attempts: Vec<u32> = history
            .trials()
            .iter()
            .map(|trial| gpus.project.run_of(trial).summary().unwrap().attempt)
            .collect();
        assert_eq!(attempts.iter().filter(|attempt| **attempt == 2).count(), 1);
        assert_eq!(attempts.iter().sum::<u32>(), 7);
    }
}

#[test]
fn a_lost_gpu_that_no_slot_has_ends_the_study() {
    let more = "device: cpu\nhyperparameters: {lost: GPU-a, silently: false}\n\
        worker: {env: {CUDA_VISIBLE_DEVICES: GPU-a}}\n";
    let project = Project::new("loses_gpus", &format!("{SPACE}{more}"));
    let output = project.tune(&["--n-trials", "6"]);
    assert_eq!(output.status.code(), Some(7));
    assert!(stderr(&output).contains("uncorrectable ECC error"));
    assert_eq!(states(&project.history("test")), [0, 0, 0, 1]);
}

#[test]
fn a_study_without_a_gpu_left_ends_and_goes_on_when_there_is_one() {
    let more = "hyperparameters: {lost: \"GPU-a, GPU-b\", silently: false}\n";
    let gpus = Gpus::new(&["GPU-a", "GPU-b"], more);
    let output = gpus.tune();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(7));
    assert!(said.contains("no GPU is left: GPU-a, GPU-b"), "{said}");
    let [complete, failed, running, waiting] = states(&gpus.project.history("test"));
    assert_eq!([complete, failed, running], [0, 0, 0]);
    assert!((1..=2).contains(&waiting));
    let folder = gpus.drivers.path().join("gpus");
    std::fs::rename(folder.join("GPU-a"), folder.join("GPU-c")).unwrap();
    assert_eq!(gpus.tune().status.code(), Some(0));
    assert_eq!(states(&gpus.project.history("test")), [6, 0, 0, 0]);
}

/// A project whose plugin never comes to the end of its initialisers.
fn hangs_while_it_is_opened(more: &str) -> Project {
    let plugin = Path::new("plugin.so");
    let project = Project::with_plugin(plugin, "bowl", &format!("{SPACE}{more}"));
    let code = "#include <unistd.h>\n\
        __attribute__((constructor)) static void start(void) { for (;;) pause(); }\n";
    std::fs::write(project.path().join("plugin.c"), code).unwrap();
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o", "plugin.so", "plugin.c"])
        .current_dir(project.path())
        .status()
        .unwrap();
    assert!(compiled.success());
    project
}

#[test]
fn a_plugin_that_hangs_while_it_is_opened_ends_the_study() {
    let project = hangs_while_it_is_opened("worker: {heartbeat_timeout: 1s}\n");
    let output = project.tune(&["--n-trials", "4", "--jobs", "2"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(
        said.contains("plugin.so was not loaded within 1s"),
        "{said}"
    );
    assert_eq!(states(&project.history("test")), [0, 0, 0, 2]);
}

#[test]
fn one_interrupt_is_enough_while_a_plugin_hangs() {
    let project = hangs_while_it_is_opened("worker: {heartbeat_timeout: 1h, grace: 1h}\n");
    let mut explr = start(&project, &["--n-trials", "4", "--jobs", "2"]);
    wait_for("the template", || {
        let log = project.path().join(".explr/template.log");
        (log.exists() && project.try_history("test")?.trials().len() == 2).then_some(())
    });
    explr.signal(Signal::SIGINT);
    assert_eq!(explr.code(), Some(130));
    assert_eq!(states(&project.history("test")), [0, 0, 0, 2]);
}

#[test]
fn a_trial_that_was_pruned_unheard_loses_its_checkpoints_when_the_study_goes_on() {
    for folder in ["", "checkpoint_dir: elsewhere\n"] {
        let more = format!("{SPACE}{folder}tune: {{pruner: {{name: threshold, upper: 0}}}}\n");
        let project = Project::new("bowl", &more);
        let keep = ["--n-trials", "1", "tune.keep_pruned_checkpoints=true"];
        assert_eq!(project.tune(&keep).status.code(), Some(100));
        let run = project.run_of(&project.history("test").trials()[0]);
        let checkpoints = if folder.is_empty() {
            run.checkpoint_dir()
        } else {
            project.path().join("elsewhere").join(run.id().as_str())
        };
        assert!(checkpoints.join("state").exists());

        // As a kill leaves it: the run has its end, the study does not know.
        let journal = project.path().join(".explr/studies/test.journal");
        let text = std::fs::read_to_string(&journal).unwrap();
        let told = text.rfind("{\"op_code\":6").unwrap();
        std::fs::write(&journal, &text[..told]).unwrap();
        assert_eq!(states(&project.history("test")), [0, 0, 1, 0]);
        assert_eq!(project.tune(&["--n-trials", "1"]).status.code(), Some(4));
        assert_eq!(project.history("test").count(TrialState::Pruned), 1);
        assert!(!checkpoints.exists(), "{}", checkpoints.display());
    }
}
