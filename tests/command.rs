//! Any program trains: it is given its run's context, and its metrics get into
//! the journal, whether it knows of explr or not.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Project, events, metrics, stderr};
use explr_protocol::{Event, LogLevel, RunState};
use explr_study::TrialState;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn log(project: &Project) -> String {
    std::fs::read_to_string(project.only_run().log_path()).unwrap()
}

fn completes(project: &Project) {
    let output = project.run(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

/// What the one run's result is, as `name value`.
fn result(project: &Project) -> String {
    let result = project.only_run().summary().unwrap().result.unwrap();
    format!("{} {}", result.primary_metric_name, result.primary_metric)
}

#[test]
fn what_a_command_says_is_in_the_journal() {
    let project = Project::with_script(
        r#"
        say '{"type":"metric","key":"loss","value":0.5,"step":1}'
        say '{"type":"metrics","values":{"loss":0.25,"acc":NaN},"step":2}'
        say '{"type":"param","key":"depth","value":[1,2]}'
        say '{"type":"tag","key":"kind","value":"small"}'
        say '{"type":"log","message":"half way","level":"warning"}'
        say '{"type":"report","step":2,"value":0.25}'
        say '{"type":"progress","epoch":1,"epochs":2}'
        echo weights > "$EXPLR_CHECKPOINT_DIR/2.pt"
        say '{"type":"checkpoint","path":"2.pt","step":2}'
        echo plot > "$EXPLR_ARTIFACT_DIR/plot.svg"
        say '{"type":"artifact","path":"plot.svg"}'
        echo notes > notes.txt
        say '{"type":"artifact","path":"notes.txt","name":"texts/notes.txt"}'
        mkdir "$EXPLR_ARTIFACT_DIR/more"
        echo unsaid > "$EXPLR_ARTIFACT_DIR/more/unsaid.txt"
        ln -s /etc/hostname "$EXPLR_ARTIFACT_DIR/link"
        say '{"type":"result","value":0.25,"key":"loss","metrics":{"acc":1},"epochs":2}'
        "#,
        "",
    );
    completes(&project);
    let run = project.only_run();
    let logged = metrics(&run);
    assert_eq!(logged[0], ("loss".into(), 1, 0.5));
    assert_eq!(logged[2], ("loss".into(), 2, 0.25));
    assert!(logged[1].2.is_nan());
    let said = format!("{:?}", events(&run));
    for event in [
        r#"Param { key: "depth", value: Array [Number(1), Number(2)] }"#,
        r#"Tag { key: "kind", value: "small" }"#,
        r#"Log { level: Warning, message: "half way" }"#,
        "Report { step: 2, value: 0.25 }",
        r#"Checkpoint { path: "2.pt", epoch: 0, step: 2 }"#,
        r#"Artifact { path: "plot.svg" }"#,
        r#"Artifact { path: "texts/notes.txt" }"#,
        r#"Artifact { path: "more/unsaid.txt" }"#,
    ] {
        assert_eq!(said.matches(event).count(), 1, "{event} in {said}");
    }
    assert!(!said.contains(r#"path: "link""#), "{said}");
    let notes = std::fs::read_to_string(run.artifact_dir().join("texts/notes.txt"));
    assert_eq!(notes.unwrap(), "notes\n");
    let result = run.summary().unwrap().result.unwrap();
    assert_eq!(result.epochs_completed, Some(2));
    assert!((result.metrics["acc"] - 1.0).abs() < 1e-9);
}

#[test]
fn a_bad_line_is_told_with_its_number_and_training_goes_on() {
    let project = Project::with_script(
        r#"
        say '{"type":"metric","key":"loss","value":1}'
        say 'loss=0.5'
        say '{"type":"metric","key":"loss","value":0.5,"stpe":1}'
        say '{"type":"artifact","path":"nowhere"}'
        say '{"type":"metric","key":"loss","value":0.25,"step":2}'
        "#,
        "",
    );
    completes(&project);
    let run = project.only_run();
    assert_eq!(metrics(&run).len(), 2);
    let warnings: Vec<String> = events(&run)
        .into_iter()
        .filter_map(|event| match event {
            Event::Log {
                level: LogLevel::Warning,
                message,
            } => Some(message),
            _ => None,
        })
        .collect();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(
        warnings[0].starts_with("line 2 of EXPLR_EVENTS"),
        "{warnings:?}"
    );
    assert!(
        warnings[1].starts_with("line 3 of EXPLR_EVENTS"),
        "{warnings:?}"
    );
    assert!(warnings[1].contains("stpe"), "{warnings:?}");
    assert!(warnings[2].contains("nowhere"), "{warnings:?}");
    assert_eq!(result(&project), "loss 0.25");
}

#[test]
fn a_command_is_given_its_run() {
    let project = Project::with_script(
        r#"
        printf '%s|' "$@"; echo
        echo "lr=$EXPLR_PARAM_LR depth=$EXPLR_PARAM_MODEL_DEPTH name=$EXPLR_PARAM_NAME"
        echo "seed=$EXPLR_SEED device=$EXPLR_DEVICE resume=$EXPLR_RESUME attempt=$EXPLR_ATTEMPT"
        echo "outer=${EXPLR_PARAM_OUTER-none}"
        echo "trial=${EXPLR_TRIAL_NUMBER-none} control=${EXPLR_CONTROL_FD-none} own=$OWN"
        echo "folder=$(pwd -P)"
        for fd in /proc/self/fd/*; do readlink "$fd"; done | grep socket
        test -d "$EXPLR_CHECKPOINT_DIR" && test -d "$EXPLR_ARTIFACT_DIR" && echo folders
        cp "$EXPLR_PARAMS_FILE" "$EXPLR_ARTIFACT_DIR/params.json"
        say '{"type":"result","value":1}'
        "#,
        "hyperparameters: {lr: 0.001, model: {depth: 2}, name: a b}\nseed: 7\n\
         worker: {env: {OWN: mine}}",
    );
    let train = "train.command=[bash, train.sh, '--lr={lr}', '{model.depth}', '{name}', '{seed}', \
                 '{{x}}', '{trial_number}', '${env:GIVEN}', '{artifact_dir}']";
    let output = project
        .explr()
        .args(["run", "config.yaml", train])
        .env("GIVEN", "{lr}")
        // As within a command of another run.
        .env("EXPLR_PARAM_OUTER", "1")
        .env("EXPLR_TRIAL_NUMBER", "7")
        .env("EXPLR_EVENTS", "/dev/null")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let (log, run) = (log(&project), project.only_run());
    let artifacts = run.artifact_dir().canonicalize().unwrap();
    let arguments = log.lines().next().unwrap();
    let (start, folder) = arguments.split_at(arguments.find('/').unwrap());
    assert_eq!(start, "--lr=0.001|2|a b|7|{x}||{lr}|");
    let folder = Path::new(folder.trim_end_matches('|'));
    assert_eq!(folder.canonicalize().unwrap(), artifacts);
    for line in [
        "lr=0.001 depth=2 name=a b\n",
        "seed=7 device=cpu resume=0 attempt=1\n",
        "trial=none control=none own=mine\n",
        "outer=none\n",
        "folders\n",
    ] {
        assert!(log.contains(line), "{line} in {log}");
    }
    assert!(!log.contains("socket"), "{log}");
    let here = project.path().canonicalize().unwrap();
    assert!(
        log.contains(&format!("folder={}\n", here.display())),
        "{log}"
    );
    let params = std::fs::read(artifacts.join("params.json")).unwrap();
    let params: serde_json::Value = serde_json::from_slice(&params).unwrap();
    assert_eq!(
        params,
        serde_json::json!({"lr": 0.001, "model": {"depth": 2}, "name": "a b"})
    );
    // What the environment holds is nobody else's business.
    assert!(!run.path().join("params.json").exists());
    let manifest = run.manifest().unwrap();
    assert!(
        manifest.function.contains("${env:GIVEN}"),
        "{}",
        manifest.function
    );
}

#[test]
fn a_search_brings_the_values_that_the_configuration_lacks() {
    let script = r#"
        say "{\"type\":\"metric\",\"key\":\"loss\",\"value\":$1}"
        echo "trial $EXPLR_TRIAL_NUMBER of $2"
        [ "$EXPLR_SEED" = "$3" ] && [ "$3" -lt 4294967296 ] || exit 9
    "#;
    let more = "search_space: {x: {type: float, low: 0, high: 1}}";
    let project = Project::with_script(script, more);
    let train = "train.command=[bash, train.sh, '{x}', '{trial_number}', '{seed}']";
    let output = project.tune(&["--n-trials", "4", "--jobs", "2", train]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let history = project.history("test");
    assert_eq!(history.count(TrialState::Complete), 4);
    for trial in history.trials() {
        let x = trial.params["x"].external().as_f64().unwrap();
        assert!((trial.values[0] - x).abs() < 1e-12);
        let log = std::fs::read_to_string(project.run_of(trial).log_path()).unwrap();
        assert_eq!(log, format!("trial {0} of {0}\n", trial.number));
    }
    // A single run has no value for it.
    let output = project.run(&[train]);
    assert_eq!(output.status.code(), Some(6));
    let said = stderr(&output);
    assert!(said.contains("there is no hyperparameter `x`"), "{said}");
}

#[test]
fn a_pruned_trial_is_asked_to_end_and_all_that_it_started() {
    let script = r#"
        trap 'echo asked; exit 1' TERM
        for step in 0 1 2 3 4 5 6 7 8 9; do
            say "{\"type\":\"report\",\"step\":$step,\"value\":$1}"
            if [ "$step" = 5 ]; then
                # The study's answer ends the good ones too late to matter.
                case "$1" in [5-9]) sleep 1000 ;; esac
            fi
        done
        say "{\"type\":\"result\",\"value\":$1}"
    "#;
    let more = "search_space: {x: {type: int, low: 0, high: 9}}\n\
                worker: {grace: 1h}\n\
                tune:\n  sampler: {name: grid}\n  pruner: {name: threshold, upper: 4.5}\n";
    let project = Project::with_script(script, more);
    let train = "train.command=[bash, train.sh, '{x}']";
    let output = project.tune(&["--jobs", "2", train]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let history = project.history("test");
    assert_eq!(history.count(TrialState::Complete), 5);
    assert_eq!(history.count(TrialState::Pruned), 5);
    for trial in history.trials() {
        let run = project.run_of(trial);
        let log = std::fs::read_to_string(run.log_path()).unwrap();
        let is_pruned = trial.state == TrialState::Pruned;
        assert_eq!(log.contains("asked"), is_pruned, "{log}");
        let state = run.summary().unwrap().state;
        assert_eq!(state == RunState::Pruned, is_pruned);
    }
}

#[test]
fn a_pruned_trial_that_does_not_listen_is_killed() {
    let script = r#"
        trap '' TERM
        say '{"type":"report","step":0,"value":9}'
        sleep 1000
    "#;
    let more = "search_space: {x: {type: int, low: 0, high: 9}}\n\
                worker: {grace: 300ms}\n\
                tune: {pruner: {name: threshold, upper: 4.5}}\n";
    let project = Project::with_script(script, more);
    let output = project.tune(&["--n-trials", "1"]);
    assert_eq!(output.status.code(), Some(100), "{}", stderr(&output));
    let history = project.history("test");
    assert_eq!(history.count(TrialState::Pruned), 1);
    let run = project.run_of(&history.trials()[0]);
    assert_eq!(common::processes_of(&run), Vec::<i32>::new());
}

#[test]
fn a_sweep_runs_each_combination_once() {
    let script = r#"say "{\"type\":\"result\",\"value\":$1$2}""#;
    let more = "hyperparameters: {a: 0}\nsweep: {matrix: {a: [1, 2], hyperparameters.b: [3, 4]}}";
    let project = Project::with_train("{command: [bash, train.sh, '{a}', '{b}']}", more);
    project.write_script(script);
    let mut explr = project.explr();
    let output = explr.args(["sweep", "config.yaml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let runs = project.store().runs().unwrap();
    let results = runs.iter().filter_map(|run| run.summary().unwrap().result);
    let mut values: Vec<f64> = results.map(|result| result.primary_metric).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    assert_eq!(values, [13.0, 14.0, 23.0, 24.0]);
}

#[test]
fn a_pattern_finds_metrics_in_the_output_and_passes_it_on() {
    let script = r#"
        for epoch in 1 2 3; do
            printf 'epoch %d of 3: loss=0.%d acc=nan\r' "$epoch" "$((4 - epoch))" >&2
        done
        echo done
    "#;
    let project = Project::with_train(
        "{command: [bash, train.sh], metrics: {pattern: 'epoch (?P<step>\\d+) .*\
         loss=(?P<loss>[0-9.]+) acc=(?P<acc>\\S+)'}}",
        "tune: {metric: loss, direction: maximize}",
    );
    project.write_script(script);
    completes(&project);
    let run = project.only_run();
    let losses: Vec<_> = metrics(&run)
        .into_iter()
        .filter(|(key, ..)| key == "loss")
        .map(|(_, step, value)| (step, value))
        .collect();
    assert_eq!(losses, [(1, 0.3), (2, 0.2), (3, 0.1)]);
    assert_eq!(metrics(&run).len(), 6);
    assert_eq!(result(&project), "loss 0.1");
    assert!(log(&project).contains("done"));
    let reports = events(&run)
        .into_iter()
        .filter(|event| matches!(event, Event::Report { .. }))
        .count();
    assert_eq!(reports, 3, "the study's metric is reported");
}

#[test]
fn a_trial_is_pruned_by_what_it_prints() {
    let project = Project::with_train(
        "{command: [bash, train.sh, '{x}'], metrics: {pattern: 'loss=(?P<loss>\\S+)'}}",
        "search_space: {x: {type: int, low: 0, high: 9}}\n\
         worker: {grace: 1h}\n\
         tune:\n  sampler: {name: grid}\n  pruner: {name: threshold, upper: 4.5}\n",
    );
    project.write_script(
        r#"
        echo "loss=$1"
        case "$1" in [5-9]) sleep 1000 ;; esac
        "#,
    );
    let output = project.tune(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let history = project.history("test");
    assert_eq!(history.count(TrialState::Pruned), 5);
    assert_eq!(history.count(TrialState::Complete), 5);
}

#[test]
fn files_of_metrics_are_followed() {
    for (format, head, row) in [
        ("csv", "epoch,loss,note\n", "%d,0.%d,x\n"),
        ("jsonl", "", "{\"epoch\":%d,\"loss\":0.%d,\"note\":\"x\"}\n"),
    ] {
        let train = format!(
            "{{command: [bash, train.sh], metrics: {{file: '{{artifact_dir}}/log', format: \
             {format}}}}}"
        );
        let project = Project::with_train(&train, "");
        project.write_script(&format!(
            "log=$EXPLR_ARTIFACT_DIR/log\nprintf '{head}' > \"$log\"\n\
             for epoch in 1 2 3; do printf '{row}' $epoch $epoch >> \"$log\"; sleep 0.05; done"
        ));
        completes(&project);
        let expected: Vec<_> = [(1, 0.1), (2, 0.2), (3, 0.3)]
            .map(|(step, value)| ("loss".to_owned(), step, value))
            .into();
        assert_eq!(metrics(&project.only_run()), expected, "{format}");
        assert_eq!(result(&project), "loss 0.3");
    }
}

#[test]
fn the_event_files_of_tensorboard_are_followed() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = source.join("src/worker/command/scalars/torch.tfevents");
    let project = Project::with_train(
        "{command: [bash, train.sh], metrics: {file: logs, format: tensorboard}}",
        "tune: {metric: acc}",
    );
    let source = source.display();
    project.write_script(&format!(
        "mkdir -p logs/a; head -c 200 {source} > logs/a/events.out.tfevents.1; sleep 0.3\n\
         tail -c +201 {source} >> logs/a/events.out.tfevents.1"
    ));
    completes(&project);
    let expected = [("loss", 1, 0.5), ("loss", 2, 0.25), ("acc", 3, 0.75)]
        .map(|(key, step, value)| (key.to_owned(), step, value));
    assert_eq!(metrics(&project.only_run()), expected);
    assert_eq!(result(&project), "acc 0.75");
}

#[test]
fn a_command_whose_result_nobody_knows_fails_with_what_to_do() {
    for (script, more, said) in [
        ("true", "", "it logged no metric"),
        (
            r#"say '{"type":"metrics","values":{"a":1,"b":2}}'"#,
            "",
            "it logged `a`, `b`",
        ),
        (
            r#"say '{"type":"metric","key":"a","value":1}'"#,
            "tune: {metric: loss}",
            "never logged `loss`",
        ),
    ] {
        let project = Project::with_script(script, more);
        let output = project.run(&[]);
        assert_eq!(output.status.code(), Some(100));
        let failure = project.failure();
        assert!(failure.message.contains(said), "{failure:?}");
        assert!(failure.message.contains("tune.metric"), "{failure:?}");
    }
}

#[test]
fn a_program_that_cannot_be_started_is_refused_with_what_helps() {
    for (program, said) in [
        ("no-such-program", "PATH is /"),
        ("./nowhere", "relative to the folder"),
        ("./train.sh", "chmod +x ./train.sh"),
        ("./bad", "the interpreter"),
    ] {
        let project = Project::with_train(&format!("{{command: [{program}]}}"), "");
        project.write_script("true");
        let bad = project.path().join("bad");
        std::fs::write(&bad, "#!/no/such/interpreter\n").unwrap();
        std::fs::set_permissions(&bad, PermissionsExt::from_mode(0o755)).unwrap();
        let output = project.run(&[]);
        assert_eq!(output.status.code(), Some(6));
        let shown = stderr(&output);
        assert!(shown.contains(said) && shown.contains(program), "{shown}");
    }
}

#[test]
fn a_dry_run_and_runs_show_name_the_command() {
    let project = Project::with_script(r#"say '{"type":"result","value":1}'"#, "");
    let dry = project.run(&["--dry-run"]);
    assert_eq!(dry.status.code(), Some(0));
    let said = String::from_utf8(dry.stdout).unwrap();
    assert!(said.contains("#   function  bash train.sh\n"), "{said}");
    assert!(!project.path().join(".explr").exists());
    completes(&project);
    let id = project.only_run().id().to_string();
    let shown = project
        .explr()
        .args(["runs", "show", &id])
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("bash train.sh"), "{shown}");
}

#[test]
fn a_hundred_thousand_lines_lose_none() {
    let script = r#"
        i=0
        while [ $i -lt 100000 ]; do
            echo "{\"type\":\"metric\",\"key\":\"n\",\"value\":$i,\"step\":$i}"
            i=$((i + 1))
        done >> "$EXPLR_EVENTS"
    "#;
    let project = Project::with_script(script, "");
    completes(&project);
    let logged = metrics(&project.only_run());
    assert_eq!(logged.len(), 100_000);
    for (step, (_, at, _)) in (0_i64..).zip(&logged) {
        assert_eq!(step, *at);
    }
}

/// The first block of this kind in a text.
fn block<'a>(text: &'a str, kind: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("```{kind}\n")).unwrap();
    rest.split_once("```\n").unwrap().0
}

#[test]
fn the_example_of_the_documentation_runs_and_is_the_one_of_the_examples() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/protocol.md")).unwrap();
    let script = block(&page, "bash");
    let example = std::fs::read_to_string(root.join("examples/shell/train.sh")).unwrap();
    assert_eq!(script, example);
    let project = Project::with_script("", "");
    std::fs::write(project.path().join("train.sh"), script).unwrap();
    let config = format!("{}mlflow: off\n", block(&page, "yaml"));
    std::fs::write(project.path().join("config.yaml"), config).unwrap();
    completes(&project);
    let logged = metrics(&project.only_run());
    let steps: Vec<i64> = logged.iter().map(|(_, step, _)| *step).collect();
    assert_eq!(steps, (1..=10).collect::<Vec<_>>());
    assert_eq!(result(&project), "loss 0.367879");
}

#[test]
fn the_lines_of_the_documentation_are_all_understood() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/protocol.md")).unwrap();
    let lines: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `{\"type\"")?.split('`').next())
        .collect();
    assert!(lines.len() >= 10, "{lines:?}");
    for line in lines {
        // What may be left out stands in brackets.
        let whole = format!("{{\"type\"{}", line.replace(['[', ']'], ""));
        let mut short = whole.clone();
        if let (Some(start), Some(end)) = (line.find('['), line.find(']')) {
            let without = format!("{{\"type\"{}{}", &line[..start], &line[end + 1..]);
            short = without.replace(",}", "}").replace(",,", ",");
        }
        for text in [whole, short] {
            let read = serde_json::from_str::<explr_protocol::Line>(&text);
            assert!(read.is_ok(), "{text}: {read:?}");
        }
    }
}

#[test]
fn scikit_learn_trains_by_what_it_prints() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let project = Project::with_script("", "");
    let python = root.join(".venv/bin");
    let path = std::env::var("PATH").unwrap();
    let output = project
        .explr()
        .arg("run")
        .arg(root.join("configs/sklearn.yaml"))
        .args(["epochs=3", "mlflow=off"])
        .arg(format!("store={}", project.path().join(".explr").display()))
        .env("PATH", format!("{}:{path}", python.display()))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let run = project.only_run();
    assert_eq!(metrics(&run).len(), 6);
    let accuracy = run.summary().unwrap().result.unwrap().primary_metric;
    assert!(accuracy > 0.7, "{accuracy}");
    assert!(run.artifact_dir().join("model.pkl").exists());
}
