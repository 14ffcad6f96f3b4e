//! A command that dies has a name for it, leaves nothing behind, and what it
//! had said is kept: the promises of a worker, for any program.

#![allow(clippy::unwrap_used, clippy::cast_possible_wrap)]

mod common;

use common::{
    Project, assert_bounded, assert_reconciled, events, is_alive, metrics, processes_of, stderr,
    wait_for,
};
use explr_protocol::{Event, FailureClass, RunState};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const LOSS: &str = r#"say '{"type":"metric","key":"loss","value":1}'"#;

fn fails_as(script: &str, class: FailureClass, message: &str) -> Project {
    let project = Project::with_script(script, "");
    let output = project.run(&[]);
    assert_eq!(output.status.code(), Some(100));
    let failure = project.failure();
    assert_eq!(failure.class, class, "{failure:?}");
    assert!(failure.message.contains(message), "{failure:?}");
    let shown = stderr(&output);
    assert!(shown.contains(&format!("failed ({class})")), "{shown}");
    project
}

/// The process that appends, which wrote its id to `pid`.
fn pid_in(project: &Project, name: &str) -> Pid {
    let path = project.path().join(name);
    wait_for("the command's process", || {
        let text = std::fs::read_to_string(&path).ok()?;
        text.trim().parse().ok().map(Pid::from_raw)
    })
}

#[test]
fn a_segmentation_fault_is_named_and_its_last_lines_are_kept() {
    let script = format!("{LOSS}; echo about to crash; kill -SEGV $$");
    let project = fails_as(
        &script,
        FailureClass::Signal,
        "the command was ended by SIGSEGV",
    );
    assert_eq!(project.failure().log_tail, ["about to crash"]);
    assert_eq!(metrics(&project.only_run()), [("loss".into(), 0, 1.0)]);
}

#[test]
fn an_abort_is_named_with_what_the_exception_said() {
    fails_as("kill -ABRT $$", FailureClass::Abort, "SIGABRT");
    let script = r#"
        echo "terminate called after throwing an instance of 'std::runtime_error'"
        echo "  what():  the tensor library is unhappy"
        kill -ABRT $$
    "#;
    let said = "uncaught C++ exception std::runtime_error: the tensor library is unhappy";
    fails_as(script, FailureClass::Abort, said);
}

#[test]
fn an_exit_status_is_named_though_there_is_a_result() {
    fails_as("exit 3", FailureClass::Exit, "exited with status 3");
    fails_as(
        r#"say '{"type":"result","value":1}'; exit 1"#,
        FailureClass::Exit,
        "exited with status 1",
    );
    fails_as(
        "bash -c 'kill -SEGV $$'; exit $?",
        FailureClass::Exit,
        "status 139 (a shell's word for: ended by SIGSEGV)",
    );
    fails_as("no-such-program", FailureClass::Exit, "no such program");
}

#[test]
fn a_crash_after_the_result_takes_nothing_back() {
    let script = r#"say '{"type":"result","value":0.5,"key":"loss"}'; kill -SEGV $$"#;
    let project = Project::with_script(script, "");
    assert_eq!(project.run(&[]).status.code(), Some(0));
    let result = project.only_run().summary().unwrap().result.unwrap();
    assert_eq!(result.primary_metric.to_bits(), 0.5_f64.to_bits());
}

#[test]
fn an_objective_that_is_no_number_fails_the_run_and_its_metrics_stay() {
    let script = r#"say '{"type":"metric","key":"loss","value":NaN}'"#;
    let project = fails_as(script, FailureClass::Nan, "NaN");
    assert!(metrics(&project.only_run())[0].2.is_nan());
}

#[test]
fn a_gpu_without_memory_is_known_by_what_is_printed() {
    let script = r"
        echo 'Traceback (most recent call last):' >&2
        echo 'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.' >&2
        exit 1
    ";
    fails_as(script, FailureClass::CudaOom, "asked for 2.1 GB");
    let script = "echo 'CUDA error: uncorrectable ECC error encountered'; exit 1";
    let project = Project::with_script(script, "");
    assert_eq!(project.run(&[]).status.code(), Some(7));
    assert_eq!(project.failure().class, FailureClass::GpuLost);
}

/// A control group of this test's own with so little memory; none where this
/// user may not make one.
struct Cgroup(std::path::PathBuf);

impl Cgroup {
    fn with_memory(bytes: u64) -> Option<Self> {
        let name = format!("explr-test-{}", std::process::id());
        let roots = [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max"),
        ];
        roots.into_iter().find_map(|(root, limit)| {
            let group = std::path::Path::new(root).join(&name);
            std::fs::create_dir(&group).ok()?;
            let group = Self(group);
            let limit = group.0.join(limit);
            // The kernel makes the file; one that is made here is no limit.
            (limit.exists() && std::fs::write(limit, bytes.to_string()).is_ok()).then_some(group)
        })
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let group = &self.0;
        wait_for("the group to be empty", || std::fs::remove_dir(group).ok());
    }
}

#[test]
fn a_command_that_the_kernel_kills_for_want_of_memory_is_told_apart() {
    let Some(group) = Cgroup::with_memory(200 << 20) else {
        println!("NOT CHECKED: this user may not make a control group with a memory limit");
        return;
    };
    // `tail` keeps what has no end of line.
    for eats in ["exec tail /dev/zero", "tail /dev/zero; exit $?"] {
        let project = Project::with_script(&format!("{LOSS}; {eats}"), "");
        let enter = format!(
            "echo $$ > {}/cgroup.procs && exec \"$0\" \"$@\"",
            group.0.display()
        );
        let output = std::process::Command::new("bash")
            .args(["-c", &enter, env!("CARGO_BIN_EXE_explr")])
            .args(["run", "config.yaml"])
            .current_dir(project.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(100), "{}", stderr(&output));
        let failure = project.failure();
        assert_eq!(failure.class, FailureClass::Oom, "{failure:?}");
        assert!(failure.message.contains("want of memory"), "{failure:?}");
        assert_eq!(metrics(&project.only_run()).len(), 1);
    }
}

#[test]
fn a_hung_command_is_asked_and_then_killed() {
    let script = format!("trap '' TERM; {LOSS}; while true; do sleep 1; done");
    let project = Project::with_script(&script, "worker: {timeout: 1s, grace: 500ms}");
    let output = project.run(&[]);
    assert_eq!(output.status.code(), Some(100));
    let failure = project.failure();
    assert_eq!(failure.class, FailureClass::Timeout);
    assert!(failure.message.contains("worker.timeout"), "{failure:?}");
    let run = project.only_run();
    assert_eq!(processes_of(&run), Vec::<i32>::new());
    assert_eq!(metrics(&run).len(), 1);
}

#[test]
fn a_command_without_progress_is_noticed() {
    for script in ["sleep 1000", "kill -STOP $$"] {
        let project = Project::with_script(script, "worker: {progress_timeout: 2s, grace: 500ms}");
        assert_eq!(project.run(&[]).status.code(), Some(100));
        let failure = project.failure();
        assert_eq!(failure.class, FailureClass::Timeout);
        assert!(failure.message.contains("progress_timeout"), "{failure:?}");
        assert_eq!(processes_of(&project.only_run()), Vec::<i32>::new());
    }
}

#[test]
fn a_frozen_worker_is_noticed_by_its_silence() {
    let script = format!("{LOSS}; kill -STOP $PPID; sleep 1000");
    let project = Project::with_script(&script, "worker: {heartbeat_timeout: 2s, grace: 500ms}");
    assert_eq!(project.run(&[]).status.code(), Some(100));
    let failure = project.failure();
    assert_eq!(failure.class, FailureClass::Timeout);
    assert!(failure.message.contains("heartbeat_timeout"), "{failure:?}");
    // What the worker slept over was taken in by another.
    assert_eq!(metrics(&project.only_run()).len(), 1);
    assert_eq!(processes_of(&project.only_run()), Vec::<i32>::new());
}

#[test]
fn endless_output_is_drained_and_bounded() {
    let script = format!("{LOSS}; head -c 100000000 /dev/zero | tr '\\0' 'x' | fold -w 100");
    for train in [
        "{command: [bash, train.sh]}",
        "{command: [bash, train.sh], metrics: {pattern: 'n=(?P<n>\\d+)'}}",
    ] {
        let project = Project::with_train(train, "tune: {metric: loss}");
        project.write_script(&script);
        let output = project.run(&[]);
        assert_eq!(output.status.code(), Some(0));
        let run = project.only_run();
        assert_bounded(&run);
        let shown = stderr(&output);
        assert!(shown.contains("more lines in its log"), "{shown}");
        assert!(shown.len() < 1 << 20, "{}", shown.len());
    }
}

#[test]
fn what_a_command_leaves_behind_is_ended() {
    let script = format!("sleep 1000 & setsid sleep 1000 & {LOSS}");
    let project = Project::with_script(&script, "");
    assert_eq!(project.run(&[]).status.code(), Some(0));
    let run = project.only_run();
    wait_for("all to end", || processes_of(&run).is_empty().then_some(()));
}

#[test]
fn what_a_command_started_does_not_survive_a_kill() {
    let script = r#"
        sleep 1000 & setsid sleep 1000 &
        say '{"type":"metric","key":"loss","value":1}'
        wait
    "#;
    for worker_too in [false, true] {
        let project = Project::with_script(script, "");
        let mut explr = project.start(&[]);
        let run = project.wait_for_metric();
        let all = wait_for("all processes", || {
            let all = processes_of(&run);
            (all.len() == 4).then_some(all)
        });
        explr.signal(Signal::SIGKILL);
        if worker_too {
            let worker = all.iter().min().unwrap();
            let _ = kill(Pid::from_raw(*worker), Signal::SIGKILL);
        }
        explr.code();
        wait_for("the command and its worker to end", || {
            // What left the group, or all that the command started, is reached
            // by the next explr.
            let left = if worker_too { 2 } else { 1 };
            (processes_of(&run).len() <= left).then_some(())
        });
        assert_reconciled(&project, &run);
    }
}

#[test]
fn a_failed_attempt_is_repeated_and_knows_that_it_is() {
    let script = r#"
        echo "attempt $EXPLR_ATTEMPT resume $EXPLR_RESUME" >> attempts
        for step in 0 1 2; do
            say "{\"type\":\"metric\",\"key\":\"loss\",\"value\":0.$step,\"step\":$step}"
            say "{\"type\":\"param\",\"key\":\"depth\",\"value\":2}"
            if [ "$EXPLR_RESUME" = 0 ] && [ $step = 1 ]; then kill -ABRT $$; fi
        done
    "#;
    let project = Project::with_script(script, "worker: {retries: 2, retry_on: [abort]}");
    assert_eq!(project.run(&[]).status.code(), Some(0));
    let run = project.only_run();
    let attempts = std::fs::read_to_string(project.path().join("attempts")).unwrap();
    assert_eq!(attempts, "attempt 1 resume 0\nattempt 2 resume 1\n");
    let summary = run.summary().unwrap();
    assert_eq!((summary.state, summary.attempt), (RunState::Completed, 2));
    // What the second attempt lives again is not told again.
    let steps: Vec<i64> = metrics(&run).into_iter().map(|(_, step, _)| step).collect();
    assert_eq!(steps, [0, 1, 2]);
    let params = events(&run)
        .into_iter()
        .filter(|event| matches!(event, Event::Param { key, .. } if key == "depth"))
        .count();
    assert_eq!(params, 2, "one of each step of the first attempt");
}

#[test]
fn a_journal_that_cannot_grow_ends_the_command() {
    let script = r#"
        echo $$ > pid
        while true; do
            say '{"type":"log","message":"a line that makes the journal grow, and the inbox too"}'
        done
    "#;
    let project = Project::with_script(script, "");
    let mut command = project.explr();
    command.args(["run", "config.yaml"]);
    common::limit_files(&mut command, 64 << 10);
    let output = command.output().unwrap();
    println!("{}", stderr(&output));
    // The journal's lines are longer than the inbox's, so it is full first.
    assert_eq!(output.status.code(), Some(9));
    assert!(
        stderr(&output).contains("events.jsonl"),
        "{}",
        stderr(&output)
    );
    let pid = pid_in(&project, "pid").as_raw();
    wait_for("the command to end", || (!is_alive(pid)).then_some(()));
}

#[test]
fn the_first_interrupt_lets_a_command_save_its_work() {
    let script = r#"
        trap 'say "{\"type\":\"checkpoint\",\"path\":\"last\"}"; exit 0' TERM
        say '{"type":"metric","key":"loss","value":1}'
        while true; do sleep 0.1; done
    "#;
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let project = Project::with_script(script, "");
        let mut explr = project.start(&[]);
        let run = project.wait_for_metric();
        explr.signal(signal);
        assert_eq!(explr.code(), Some(code));
        assert_eq!(run.summary().unwrap().state, RunState::Interrupted);
        let saved = |event: &Event| matches!(event, Event::Checkpoint { .. });
        assert!(events(&run).iter().any(saved));
        assert_eq!(processes_of(&run), Vec::<i32>::new());
    }
}

#[test]
fn an_interrupt_reaches_what_a_shell_waits_for() {
    let script = format!("{LOSS}; sleep 1000");
    let project = Project::with_script(&script, "worker: {grace: 1h}");
    let mut explr = project.start(&[]);
    let run = project.wait_for_metric();
    explr.signal(Signal::SIGINT);
    assert_eq!(explr.code(), Some(130));
    assert_eq!(run.summary().unwrap().state, RunState::Interrupted);
}

#[test]
fn the_second_interrupt_ends_a_command_that_does_not_listen() {
    let script = format!("trap '' TERM; {LOSS}; while true; do sleep 1000; done");
    let project = Project::with_script(&script, "worker: {grace: 1h}");
    let mut explr = project.start(&[]);
    let run = project.wait_for_metric();
    explr.signal(Signal::SIGINT);
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert!(is_alive(explr.pid().as_raw()));
    explr.signal(Signal::SIGINT);
    assert_eq!(explr.code(), Some(130));
    assert_eq!(run.summary().unwrap().state, RunState::Interrupted);
    assert_eq!(processes_of(&run), Vec::<i32>::new());
}

/// Counts without end, and writes down how far what it appended has come.
const COUNTS: &str = r#"
    echo $$ > pid
    i=${EXPLR_PARAM_FROM:-0}
    while true; do
        say "{\"type\":\"metric\",\"key\":\"count\",\"value\":$i,\"step\":$i}"
        echo $i > appended
        i=$((i + 1))
    done
"#;

#[test]
fn a_line_that_was_appended_survives_every_kill_and_is_taken_in_once() {
    // The worker, explr, both, the worker while it is stopped, the command.
    for round in 0..5 {
        let project = Project::with_script(COUNTS, "");
        let mut explr = project.start(&[]);
        let run = project.wait_for_metric();
        let command = pid_in(&project, "pid");
        let worker = processes_of(&run)
            .into_iter()
            .find(|pid| *pid != command.as_raw())
            .map(Pid::from_raw)
            .unwrap();
        if round == 3 {
            // It falls behind; the command doesn't wait for it.
            kill(worker, Signal::SIGSTOP).unwrap();
        }
        std::thread::sleep(std::time::Duration::from_millis(53 * (round + 1)));
        match round {
            0 | 3 => kill(worker, Signal::SIGKILL).unwrap(),
            1 => explr.signal(Signal::SIGKILL),
            2 => {
                explr.signal(Signal::SIGKILL);
                let _ = kill(worker, Signal::SIGKILL);
            }
            _ => kill(command, Signal::SIGKILL).unwrap(),
        }
        explr.code();
        wait_for("the command to end", || {
            (!is_alive(command.as_raw())).then_some(())
        });
        let list = project.explr().args(["runs", "list"]).output().unwrap();
        assert_eq!(list.status.code(), Some(0), "{}", stderr(&list));
        let appended = std::fs::read_to_string(project.path().join("appended")).unwrap();
        // The file may be empty when the kill falls between two of its writes.
        let appended: i64 = appended.trim().parse().unwrap_or(0);
        let logged = metrics(&run);
        assert!(
            logged.len() as i64 > appended,
            "{} of {appended}",
            logged.len()
        );
        for (step, metric) in logged.iter().enumerate() {
            assert_eq!(
                metric,
                &("count".to_owned(), step as i64, step as f64),
                "{round}"
            );
        }
        let inbox = std::fs::read_to_string(run.path().join("inbox-1.jsonl")).unwrap();
        assert_eq!(logged.len(), inbox.lines().count(), "round {round}");
        let state = run.summary().unwrap().state;
        let killed_explr = matches!(round, 1 | 2);
        assert_eq!(
            state == RunState::Interrupted,
            killed_explr,
            "{state} in round {round}"
        );
        assert_eq!(processes_of(&run), Vec::<i32>::new());
    }
}

#[test]
fn a_rerun_continues_what_a_kill_interrupted() {
    let script = r#"
        echo $$ > pid
        step=0
        test "$EXPLR_RESUME" = 1 && step=$(cat "$EXPLR_CHECKPOINT_DIR/step")
        while [ $step -lt 40 ]; do
            say "{\"type\":\"metric\",\"key\":\"loss\",\"value\":0.$step,\"step\":$step}"
            sleep 0.02
            echo $step > "$EXPLR_CHECKPOINT_DIR/new"
            mv "$EXPLR_CHECKPOINT_DIR/new" "$EXPLR_CHECKPOINT_DIR/step"
            step=$((step + 1))
        done
    "#;
    let project = Project::with_script(script, "");
    let mut explr = project.start(&[]);
    let run = project.wait_for_metric();
    let command = pid_in(&project, "pid").as_raw();
    wait_for("a checkpoint", || {
        run.checkpoint_dir().join("step").exists().then_some(())
    });
    explr.signal(Signal::SIGKILL);
    explr.code();
    wait_for("the command to end", || (!is_alive(command)).then_some(()));
    let output = project.run(&[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("continues; attempt 2"));
    let run = project.only_run();
    assert_eq!(run.summary().unwrap().state, RunState::Completed);
    let steps: Vec<i64> = metrics(&run).into_iter().map(|(_, step, _)| step).collect();
    assert_eq!(steps, (0..40).collect::<Vec<_>>());
}

#[test]
fn a_result_that_was_told_counts_though_all_else_was_killed() {
    let script = r#"
        echo $PPID > worker
        kill -STOP $PPID
        say '{"type":"metric","key":"loss","value":1}'
        say '{"type":"result","value":0.5,"key":"loss"}'
        echo $$ > told
        sleep 1000
    "#;
    for explr_too in [false, true] {
        let project = Project::with_script(script, "");
        let mut explr = project.start(&[]);
        let worker = pid_in(&project, "worker");
        let command = pid_in(&project, "told").as_raw();
        if explr_too {
            explr.signal(Signal::SIGKILL);
        }
        kill(worker, Signal::SIGKILL).unwrap();
        let code = explr.code();
        assert_eq!(code, (!explr_too).then_some(0));
        wait_for("the command to end", || (!is_alive(command)).then_some(()));
        let list = project.explr().args(["runs", "list"]).output().unwrap();
        assert_eq!(list.status.code(), Some(0), "{}", stderr(&list));
        let run = project.only_run();
        let summary = run.summary().unwrap();
        assert_eq!(summary.state, RunState::Completed);
        assert_eq!(summary.result.unwrap().primary_metric_name, "loss");
        assert_eq!(metrics(&run).len(), 1);
        assert!(!run.path().join("params.json").exists());
    }
}

#[test]
fn a_study_of_commands_goes_on_after_a_kill() {
    let script = r#"
        for step in 0 1 2 3 4 5 6 7 8 9; do
            say "{\"type\":\"report\",\"value\":$EXPLR_PARAM_X,\"step\":$step}"
            sleep 0.03
        done
        say "{\"type\":\"result\",\"value\":$EXPLR_PARAM_X}"
    "#;
    let more = "search_space: {x: {type: int, low: 0, high: 7}}\n\
                tune: {sampler: {name: grid}, jobs: 2, pruner: median}";
    let project = Project::with_script(script, more);
    for _ in 0..3 {
        let mut command = project.explr();
        command.args(["tune", "config.yaml"]);
        let mut explr = common::Running(command.spawn().unwrap());
        let before = project.try_history("test").map_or(0, |study| done(&study));
        wait_for("a trial to end", || {
            let study = project.try_history("test")?;
            (done(&study) > before || study.trials().len() == 8).then_some(())
        });
        explr.signal(Signal::SIGKILL);
        explr.code();
    }
    let output = project.tune(&[]);
    assert!(
        matches!(output.status.code(), Some(0 | 4)),
        "{}",
        stderr(&output)
    );
    let history = project.history("test");
    assert_eq!(history.trials().len(), 8);
    assert_eq!(done(&history), 8);
    for trial in history.trials() {
        let run = project.run_of(trial);
        assert_eq!(processes_of(&run), Vec::<i32>::new());
        let steps: Vec<i64> = events(&run)
            .into_iter()
            .filter_map(|event| match event {
                Event::Report { step, .. } => Some(step),
                _ => None,
            })
            .collect();
        // Lived again or not, each step is there once; what a trial said
        // after it was pruned is kept, and no news to the study.
        assert_eq!(steps, (0..steps.len() as i64).collect::<Vec<_>>());
        assert!(steps.len() >= trial.intermediate.len());
        if trial.state == explr_study::TrialState::Complete {
            assert_eq!((steps.len(), trial.intermediate.len()), (10, 10));
        }
        assert!(run.summary().unwrap().state.is_final());
    }
}

fn done(study: &explr_study::History) -> usize {
    use explr_study::TrialState::{Complete, Pruned};
    study.count(Complete) + study.count(Pruned)
}
