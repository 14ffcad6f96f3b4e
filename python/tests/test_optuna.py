from __future__ import annotations

import importlib.util
import unittest
from typing import Any

from tests.orchestrator import Case, Run

VALUES = {"lr": 0.01, "layers": 3, "optimizer": "adam", "u": 0.5, "l": 0.5, "d": 0.25, "x": 7.0}


@unittest.skipUnless(importlib.util.find_spec("optuna"), "needs optuna")
class OptunaTest(Case):
    """Objectives run as they are."""

    def finish(
        self, target: str, prune_at: int | None = None, **context: Any
    ) -> tuple[dict[str, Any], Run]:
        run = Run(self.folder, target, **context)
        run.code["call"] = "objective"
        worker = self.worker(run)
        for message in worker.messages():
            if message["type"] == "finished":
                break
            if message["type"] != "ask":
                continue
            answer: dict[str, Any] = {"type": "answer", "answer": "continue"}
            if message["ask"] == "suggest":
                answer = {"type": "answer", "answer": "value", "with": VALUES[message["name"]]}
            elif message["step"] == prune_at:
                answer = {"type": "answer", "answer": "prune"}
            worker.send(answer)
        outcome: dict[str, Any] = message["outcome"]
        return outcome, run

    def trial(self, target: str, prune_at: int | None = None) -> tuple[dict[str, Any], Run]:
        return self.finish(target, prune_at, trial={"study": "s", "id": 17, "number": 4})

    def test_an_objective_searches_reports_and_keeps_attributes(self) -> None:
        outcome, run = self.trial("optuna_objectives:everything")
        self.assertEqual(outcome.get("err"), None)
        result = outcome["ok"]
        self.assertEqual(
            (result["primary_metric_name"], result["primary_metric"]), ("value", 0.125)
        )
        reports = [(each["step"], each["value"]) for each in run.records("report")]
        self.assertEqual(reports, [(0, 1.0), (1, 0.5), (2, 1 / 3)])
        tags = {each["key"]: each["value"] for each in run.records("tag")}
        self.assertEqual(tags, {"note": "a text", "shape": "[1, 2]"})

    def test_optunas_exception_prunes_the_trial(self) -> None:
        outcome, _ = self.trial("optuna_objectives:everything", prune_at=1)
        self.assertEqual(outcome, {"pruned": {"step": 1, "value": 0.5}})

    def test_several_values_are_numbered(self) -> None:
        outcome, _ = self.trial("optuna_objectives:two")
        result = outcome["ok"]
        self.assertEqual(
            (result["primary_metric_name"], result["primary_metric"]), ("values_0", 1.5)
        )
        self.assertEqual(result["metrics"], {"values_1": 2.5})

    def test_an_objective_may_be_an_object(self) -> None:
        outcome, _ = self.trial("optuna_objectives:of_a_class")
        self.assertEqual(outcome["ok"]["primary_metric"], 7.0)

    def test_an_objective_runs_alone_with_given_values(self) -> None:
        target = "optuna_objectives:of_a_class"
        outcome, _ = self.finish(target, hyperparameters={"x": 3})
        self.assertEqual(outcome["ok"]["primary_metric"], 3.0)
        outcome, _ = self.finish(target)
        self.assertIn(
            "the parameter `x` has no value: give `hyperparameters.x=...`",
            outcome["err"]["message"],
        )

    def test_an_objective_that_returns_nothing_is_an_error(self) -> None:
        outcome, _ = self.trial("optuna_objectives:forgets")
        self.assertIn("the objective returned None", outcome["err"]["message"])

    def test_a_script_is_imported_up_to_its_own_search(self) -> None:
        for target in ("optuna_script:objective", "optuna_script.py:objective"):
            outcome, _ = self.trial(target)
            self.assertEqual(outcome.get("err"), None)
            self.assertEqual(outcome["ok"]["primary_metric"], 25.0)

    def test_a_script_that_lacks_the_objective_is_run_to_its_end(self) -> None:
        outcome, _ = self.trial("optuna_script:objectiv")
        self.assertEqual(outcome["err"]["class"], "plugin")
        self.assertIn("optuna_script", outcome["err"]["message"])

    def test_an_objective_may_hold_a_study_of_its_own(self) -> None:
        outcome, _ = self.trial("optuna_objectives:has_a_study_of_its_own")
        self.assertEqual(outcome["ok"]["primary_metric"], 3.0)
