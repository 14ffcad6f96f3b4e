from __future__ import annotations

import inspect
import json
import os
import signal
import time
from typing import Any

from tests.modules import train
from tests.orchestrator import MODULES, Case, Run, Worker, is_gone, wait_for


def without_order(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in each.items() if k not in ("seq", "ts")} for each in records]


class WorkerTest(Case):
    def finish(self, target: str, **context: Any) -> tuple[dict[str, Any], Run]:
        run = Run(self.folder, target, **context)
        return self.worker(run).outcome(), run

    def failure(self, target: str, **context: Any) -> dict[str, Any]:
        outcome, _ = self.finish(target, **context)
        failure: dict[str, Any] = outcome["err"]
        return failure

    def test_everything_that_is_logged_is_in_the_journal_in_explrs_form(self) -> None:
        outcome, run = self.finish("train:everything", hyperparameters={"lr": 0.1})
        result = {
            "primary_metric": 0.98,
            "primary_metric_name": "val_accuracy",
            "direction": "maximize",
            "metrics": {"val_loss": 0.25},
            "best_model_path": "artifacts/model",
            "epochs_completed": 2,
            "stopped_early": False,
        }
        self.assertEqual(outcome, {"ok": result})
        metrics = [("loss", 1.0, 0), ("a", 0.0, 0), ("b", "Infinity", 0)]
        metrics += [("loss", 0.5, 1), ("a", 1.0, 1), ("b", "Infinity", 1)]
        metrics += [("late", 3.0, 7), ("late", 1.0, 8)]
        artifacts = ["more/values.yaml", "text.txt", "plots/loss.png", "plots/raw.png"]
        artifacts += ["source", "copies/file"]
        logs = [("info", "for whoever watches"), ("warning", "careful"), ("debug", "detail")]
        expected: list[dict[str, Any]] = [
            *({"type": "metric", "key": k, "value": v, "step": s} for k, v, s in metrics),
            {"type": "param", "key": "layers", "value": [1, 2]},
            {"type": "param", "key": "nothing", "value": None},
            {"type": "tag", "key": "owner", "value": "me"},
            *({"type": "artifact", "path": path} for path in artifacts),
            {
                "type": "dataset",
                "name": "digits",
                "digest": "abc",
                "context": "training",
                "schema": {"columns": 64},
            },
            *({"type": "log", "level": level, "message": text} for level, text in logs),
            {"type": "report", "step": 1, "value": 0.25},
            {"type": "checkpoint", "path": "epoch-2.pt", "epoch": 2, "step": 10},
            {"type": "result", **result},
        ]
        self.assertEqual(without_order(run.records()), expected)
        files = {
            str(path.relative_to(self.folder)): path.read_text()
            for path in self.folder.glob("*s/**/*")
            if path.is_file()
        }
        self.assertEqual(
            files,
            {
                "artifacts/more/values.yaml": '{\n  "x": "NaN"\n}\n',
                "artifacts/text.txt": "hé",
                "artifacts/plots/loss.png": "picture",
                "artifacts/plots/raw.png": "bytes",
                "artifacts/source/inner/file": "content",
                "artifacts/copies/file": "content",
                "checkpoints/epoch-2.pt": "w",
            },
        )

    def test_the_orchestrator_is_told_what_happens(self) -> None:
        worker = self.worker(Run(self.folder, "train:everything"))
        messages = list(worker.messages())
        kinds = [message["type"] for message in messages]
        self.assertEqual(kinds.count("started"), 1)
        self.assertEqual(kinds[-1], "finished")
        self.assertIn("heartbeat", kinds)
        logs = [(m["level"], m["message"]) for m in messages if m["type"] == "log"]
        self.assertEqual(logs[0], ("info", "for whoever watches"))
        progress = [m for m in messages if m["type"] == "progress"]
        self.assertEqual((progress[-1]["epoch"], progress[-1]["epochs"]), (1, 2))
        self.assertEqual((progress[-1]["step"], progress[-1]["metrics_logged"]), (8, 8))
        newest: dict[str, Any] = {}
        for each in progress:
            newest.update(each["metrics"])
        self.assertEqual(newest, {"loss": 0.5, "a": 1.0, "b": "Infinity", "late": 1.0})

    def test_a_worker_beats_while_its_function_computes(self) -> None:
        worker = self.worker(Run(self.folder, "train:busy"))
        kinds = [message["type"] for message in worker.messages()]
        self.assertGreaterEqual(kinds.count("heartbeat"), 2)

    def test_the_study_is_asked_and_the_last_report_is_the_result(self) -> None:
        outcome, run = self.searched(prune_at=None)
        self.assertEqual(outcome["ok"]["primary_metric"], 0.2)
        params = {each["key"]: each["value"] for each in run.records("param")}
        self.assertEqual(params, {"lr": 0.01, "layers": 3, "optimizer": "adam"})

    def test_a_pruned_trial_ends_with_its_last_report(self) -> None:
        outcome, run = self.searched(prune_at=2)
        self.assertEqual(outcome, {"pruned": {"step": 2, "value": 1 / 3}})
        self.assertEqual([each["step"] for each in run.records("report")], [0, 1, 2])

    def searched(self, prune_at: int | None) -> tuple[dict[str, Any], Run]:
        trial = {"study": "digits", "id": 17, "number": 4}
        run = Run(self.folder, "train:search", trial=trial)
        worker = self.worker(run)
        values = {"lr": 0.01, "layers": 3, "optimizer": "adam"}
        asked = []
        for message in worker.messages():
            if message["type"] == "finished":
                break
            if message["type"] != "ask":
                continue
            asked.append(message)
            answer: dict[str, Any] = {"type": "answer", "answer": "continue"}
            if message["ask"] == "suggest":
                answer = {"type": "answer", "answer": "value", "with": values[message["name"]]}
            elif message["step"] == prune_at:
                answer = {"type": "answer", "answer": "prune"}
            worker.send(answer)
        self.assertEqual(
            [each["distribution"] for each in asked if each["ask"] == "suggest"],
            [
                {
                    "name": "FloatDistribution",
                    "attributes": {"low": 1e-5, "high": 0.1, "log": True, "step": None},
                },
                {
                    "name": "IntDistribution",
                    "attributes": {"low": 1, "high": 9, "log": False, "step": 2},
                },
                {
                    "name": "CategoricalDistribution",
                    "attributes": {"choices": ["sgd", "adam"]},
                },
            ],
        )
        outcome: dict[str, Any] = message["outcome"]
        return outcome, run

    def test_a_study_that_refuses_is_a_clear_error(self) -> None:
        run = Run(self.folder, "train:search", trial={"study": "digits", "id": 17, "number": 4})
        worker = self.worker(run)
        worker.until("ask")
        refused = {"answer": "refused", "with": {"message": "low is above high"}}
        worker.send({"type": "answer", **refused})
        failure = worker.outcome()["err"]
        self.assertEqual(
            failure["message"],
            "SuggestError: the study gives no value for the parameter `lr`: low is above high",
        )

    def test_without_a_study_or_a_value_a_parameter_is_a_clear_error(self) -> None:
        failure = self.failure("train:search")
        self.assertIn(
            "the parameter `lr` has no value: give `hyperparameters.lr=...`", failure["message"]
        )
        failure = self.failure("train:search", hyperparameters={"lr": 3})
        self.assertIn("must be from 1e-05 to 0.1, and 3 is not", failure["message"])
        given = {"lr": 0.01, "layers": 3, "optimizer": "rmsprop"}
        failure = self.failure("train:search", hyperparameters=given)
        self.assertIn('one of ["sgd", "adam"], and "rmsprop" is not', failure["message"])

    def test_what_a_function_returns_becomes_a_result(self) -> None:
        for what, name, value, others in [
            ("dict", "val_accuracy", 0.9, {"val_loss": 0.1}),
            ("number", "val_loss", 0.25, {}),
            (3, "val_loss", 3.0, {}),
        ]:
            outcome, _ = self.finish("train:returns", hyperparameters={"what": what})
            result = outcome["ok"]
            self.assertEqual(
                (result["primary_metric_name"], result["primary_metric"], result["metrics"]),
                (name, value, others),
            )
        outcome, _ = self.finish("train:reports")
        self.assertEqual(outcome["ok"]["primary_metric"], 2.0)

    def test_what_is_no_result_fails_at_the_functions_definition(self) -> None:
        line = inspect.getsourcelines(train.returns)[1]
        for what, message in [(None, "returned None and reported no value"), ("x", "is a text")]:
            failure = self.failure("train:returns", hyperparameters={"what": what})
            self.assertEqual(failure["class"], "error")
            self.assertIn(message, failure["message"])
            self.assertTrue(failure["location"].endswith(f"train.py:{line}"), failure)

    def test_an_exception_fails_the_run_with_its_causes_and_place(self) -> None:
        outcome, run = self.finish("train:fails")
        lines, first = inspect.getsourcelines(train.fails)
        place = first + next(i for i, line in enumerate(lines) if "# the place" in line)
        failure = outcome["err"]
        self.assertEqual(failure["class"], "error")
        self.assertEqual(
            failure["message"], "ValueError: bad learning rate\ncaused by: KeyError: 'lr'"
        )
        self.assertTrue(failure["location"].endswith(f"modules/train.py:{place}"), failure)
        log = (self.folder / "worker.log").read_text()
        self.assertIn("Traceback (most recent call last)", log)
        self.assertNotIn("_worker.py", log)
        (event,) = run.records("log")
        self.assertEqual(event["level"], "error")
        self.assertEqual(event["message"], log.rstrip())

    def test_failures_have_the_class_of_their_cause(self) -> None:
        failure = self.failure("train:out_of_memory")
        self.assertEqual(failure["class"], "cuda_oom")
        self.assertNotIn("malloc", failure["message"])
        failure = self.failure("train:exits")
        self.assertEqual((failure["class"], failure["message"][:3]), ("exit", "the"))
        self.assertIn("sys.exit(3)", failure["message"])
        self.assertEqual(self.failure("train:takes_nothing")["class"], "error")

    def test_a_trial_may_be_pruned_before_its_first_report(self) -> None:
        outcome, _ = self.finish("train:prunes_without_a_report")
        self.assertEqual(outcome, {"pruned": {"step": 0, "value": "NaN"}})

    def test_a_function_that_cannot_be_found_fails_with_the_nearest_name(self) -> None:
        (self.folder / "broken.py").write_text("import no_such_library\n")
        (self.folder / "syntax.py").write_text("x = 1\ndef f(:\n")
        file = MODULES / "train.py"
        for target, *parts in [
            ("trian:echo", "there is no module `trian`", "did you mean `train`?"),
            ("train:ehco", f"no function `ehco` in `{file}`", "did you mean `echo`?"),
            ("train.py:ehco", f"no function `ehco` in `{file}`", "did you mean `echo`?"),
            ("trian.py:echo", "there is no file", "did you mean `train.py`?"),
            ("train:NOT_A_FUNCTION", "is a `int`, not a function"),
            ("train:asynchronous", "is `async`"),
            ("train", "`train` names no train function"),
            (f"{self.folder}/broken.py:f", "No module named", "install `no_such_library` for"),
            (f"{self.folder}/syntax.py:f", "SyntaxError"),
        ]:
            failure = self.failure(target)
            self.assertEqual(failure["class"], "plugin")
            for part in parts:
                self.assertIn(part, failure["message"])
        self.assertTrue(failure["location"].endswith("syntax.py:2"), failure)

    def test_a_file_is_as_good_as_a_module(self) -> None:
        for target in ("train.py:draw", f"{MODULES}/train.py:draw"):
            outcome, _ = self.finish(target)
            self.assertEqual(outcome, self.finish("train:draw")[0])

    def test_a_request_to_stop_is_seen_and_told(self) -> None:
        for ask in (lambda worker: worker.send({"type": "stop"}), terminate):
            worker = self.worker(Run(self.folder, "train:echo"), EXPLR_RUN_ID="run")
            worker.until("started")
            ask(worker)
            self.assertTrue(worker.outcome()["ok"]["stopped_early"])

    def test_a_worker_and_its_children_end_with_the_orchestrator(self) -> None:
        worker = self.worker(Run(self.folder, "train:with_children"))
        children = [int(pid) for pid in worker.until("progress")["metrics"].values()]
        self.assertFalse(any(map(is_gone, children)))
        worker.stream.close()
        worker.close()
        self.assertEqual(worker.process.wait(100), -signal.SIGKILL)
        for child in children:
            wait_for(lambda child=child: is_gone(child))

    def test_the_parent_death_signal_ends_the_group(self) -> None:
        worker = self.worker(Run(self.folder, "train:with_children"))
        children = [int(pid) for pid in worker.until("progress")["metrics"].values()]
        os.kill(worker.process.pid, signal.SIGHUP)
        worker.process.wait(100)
        for child in children:
            wait_for(lambda child=child: is_gone(child))

    def test_forked_children_cannot_log_and_can_be_terminated(self) -> None:
        _, run = self.finish("train:holds_nothing_in_children")
        params = {each["key"]: each["value"] for each in run.records("param")}
        self.assertIn("forked by the train function", params["error"])
        self.assertTrue(params["ended by"])
        self.assertEqual(run.records("metric"), [])

    def test_a_function_may_have_processes_of_its_own(self) -> None:
        for target in ("train:spawns", "train.py:spawns"):
            outcome, _ = self.finish(target)
            self.assertEqual(outcome["ok"]["primary_metric"], 12 * 14.0)

    def test_what_was_logged_survives_a_kill(self) -> None:
        run = Run(self.folder, "train:logs_for_ever")
        worker = self.worker(run)
        told = worker.until("progress")["metrics_logged"]
        worker.process.kill()
        worker.process.wait()
        # The last line may be torn.
        lines = run.journal.read_bytes().split(b"\n")[:-1]
        self.assertGreaterEqual(len(lines), told)
        self.assertEqual([json.loads(line)["seq"] for line in lines], list(range(len(lines))))

    def test_a_run_that_goes_on_does_not_repeat_what_it_lives_again(self) -> None:
        first = Run(self.folder, "train:goes_on")
        worker = self.worker(first)
        worker.process.wait(100)
        self.assertEqual([each["path"] for each in first.records("checkpoint")], ["0.pt", "1.pt"])
        outcome, run = self.finish("train:goes_on", attempt=2)
        self.assertEqual(outcome["ok"]["primary_metric"], 2.0)
        (resumed,) = run.records("resumed")
        newest = run.records("checkpoint")[1]
        self.assertEqual(resumed["seq_of_checkpoint"], newest["seq"])
        self.assertEqual(resumed["checkpoint"], "1.pt")
        metrics = [(m["key"], m["step"]) for m in run.records("metric")]
        self.assertEqual(sorted(metrics), [(k, s) for k in ("counted", "loss") for s in range(4)])
        self.assertEqual([each["step"] for each in run.records("report")], [0, 1, 2, 3])
        self.assertEqual(len(run.records("param")), 1)

    def test_a_checkpoint_is_what_its_record_says_after_a_kill_at_any_moment(self) -> None:
        for attempt in range(1, 11):
            worker = self.worker(Run(self.folder, "train:saves_for_ever", attempt=attempt))
            worker.until("progress")
            time.sleep(0.003 * attempt)
            worker.end()
        run = Run(self.folder, "train:draw", attempt=11)
        self.assertIn("ok", self.worker(run).outcome())
        params = {each["key"]: each["value"] for each in run.records("param")}
        self.assertEqual(params, {f"attempt {attempt}": True for attempt in range(2, 11)})

    def test_a_run_that_starts_over_says_so_and_repeats_nothing(self) -> None:
        self.worker(Run(self.folder, "train:starts_over")).process.wait(100)
        _, run = self.finish("train:starts_over", attempt=2)
        (resumed,) = without_order(run.records("resumed"))
        self.assertEqual(resumed, {"type": "resumed", "seq_of_checkpoint": 0})
        self.assertEqual([each["step"] for each in run.records("metric")], [0, 1, 2, 3])

    def test_a_journal_that_cannot_be_written_is_told(self) -> None:
        worker = self.worker(Run(self.folder, "train:fills_the_disk"))
        messages = list(worker.messages())
        told = [m["message"] for m in messages if m["type"] == "journal_failed"]
        self.assertEqual(len(told), 1)
        self.assertIn("can't write the journal", told[0])
        self.assertIn("JournalError", messages[-1]["outcome"]["err"]["message"])

    def test_a_journal_that_another_process_writes_is_refused(self) -> None:
        first = self.worker(Run(self.folder, "train:echo"), EXPLR_RUN_ID="run")
        first.until("started")
        failure = self.failure("train:draw")
        self.assertEqual(failure["class"], "journal")

    def test_system_metrics_are_appended_and_are_no_progress(self) -> None:
        run = Run(self.folder, "train:echo")
        worker = self.worker(run, EXPLR_RUN_ID="run")
        worker.until("started")
        name = "system/cpu_utilization_percentage"
        for message in (
            {"type": "sample", "metrics": {name: 12.5, "x": "NaN"}, "step": 3},
            {"type": "sample", "metrics": None},
            {"type": "sample", "metrics": {"a": []}, "step": "x"},
            {"type": "what is that?"},
            {"type": "stop"},
        ):
            worker.send(message)
        messages = list(worker.messages())
        self.assertEqual([m for m in messages if m["type"] == "progress"], [])
        metrics = [(m["key"], m["value"], m["step"]) for m in run.records("metric")]
        self.assertEqual(metrics, [(name, 12.5, 3), ("x", "NaN", 3)])

    def test_exit_functions_run_and_what_they_print_is_in_the_log(self) -> None:
        outcome, run = self.finish("train:at_exit")
        self.assertIn("ok", outcome)
        self.assertEqual((run.folder / "checkpoints" / "exit").read_text(), "was here")
        self.assertIn("printed at exit", (run.folder / "worker.log").read_text())

    def test_start_up(self) -> None:
        run = Run(self.folder, "train:draw")
        began = time.perf_counter()
        self.worker(run).outcome()
        print(f"a worker from start to end: {time.perf_counter() - began:.3f} s", flush=True)


def terminate(worker: Worker) -> None:
    worker.process.terminate()
