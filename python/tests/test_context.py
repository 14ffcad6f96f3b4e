from __future__ import annotations

import itertools
import math
import pickle
from collections.abc import Callable
from typing import Any
from unittest import mock

from explr_sdk import LogError, SuggestError, TrainingContext, TrainingResult
from explr_sdk._epochs import affordable
from explr_sdk._host import Host
from explr_sdk._tail import read
from tests.orchestrator import Case, Run


class ContextTest(Case):
    def context(self, **given: Any) -> TrainingContext:
        host = Host(self.folder / "events.jsonl", 1, lambda _: None)
        self.addCleanup(host.close)
        self.host = host
        return TrainingContext(Run(self.folder, "train:echo", **given).context, host)

    def test_an_epoch_begins_only_if_the_mean_of_those_before_fits(self) -> None:
        self.assertEqual(affordable(6.0, 3, 5.0), 2)
        self.assertEqual(affordable(6.0, 3, 2.0), 1)
        self.assertEqual(affordable(6.0, 3, 1.0), 0)

    def test_the_first_epoch_begins_while_there_is_any_time(self) -> None:
        self.assertIsNone(affordable(0.0, 0, 1.0))
        self.assertEqual(affordable(0.0, 0, 0.0), 0)
        self.assertIsNone(affordable(1000.0, 1, None))

    def test_epochs_end_with_the_time_budget(self) -> None:
        # A second passes with each look at the clock.
        clock = mock.Mock(side_effect=itertools.count())
        with mock.patch("time.monotonic", clock):
            ctx = self.context(time_budget=20.0)
            done = list(ctx.epochs(range(3, 100)))
        self.assertEqual(done, list(range(3, 3 + len(done))))
        self.assertTrue(2 <= len(done) <= 10, done)
        self.assertIsNone(self.context_without_budget().time_left())

    def context_without_budget(self) -> TrainingContext:
        self.host.close()
        return self.context()

    def test_epochs_end_with_a_request_to_stop(self) -> None:
        ctx = self.context()
        done = []
        for epoch in ctx.epochs(range(10)):
            done.append(epoch)
            if epoch == 2:
                self.host.request_stop()
        self.assertEqual(done, [0, 1, 2])
        self.assertTrue(ctx.stop_requested)
        self.assertEqual(list(ctx.epochs(range(0))), [])

    def test_a_given_value_wins_if_the_range_allows_it(self) -> None:
        given = {"lr": 0.3, "n": 4.0, "net": {"width": [16, 32]}, "name": None, "a.b": {"c": 2}}
        ctx = self.context(hyperparameters=given)
        self.assertEqual(ctx.suggest_float("lr", 0.0, 1.0, step=0.1), 0.3)
        self.assertEqual(ctx.suggest_int("n", 0, 8, step=2), 4)
        self.assertEqual(ctx.suggest_int("net.width.1", 1, 64), 32)
        self.assertEqual(ctx.suggest_int("a.b.c", 1, 3), 2)
        self.assertIsNone(ctx.suggest_categorical("name", [None, "x"]))
        refused: list[tuple[Callable[[], object], str]] = [
            (lambda: ctx.suggest_float("lr", 0.5, 1.0), "from 0.5 to 1.0, and 0.3 is not"),
            (lambda: ctx.suggest_float("lr", 0.0, 1.0, step=0.25), "in steps of 0.25"),
            (lambda: ctx.suggest_int("lr", 0, 1), "a whole number from 0 to 1, and 0.3 is not"),
            (lambda: ctx.suggest_int("n", 1, 9, step=2), "in steps of 2, and 4.0 is not"),
            (lambda: ctx.suggest_categorical("n", [4, 5]), r"one of \[4, 5\], and 4.0 is not"),
            (lambda: ctx.suggest_float("net.width", 0, 1), r"and \[16, 32\] is not"),
        ]
        for call, allowed in refused:
            with self.assertRaisesRegex(SuggestError, allowed):
                call()
        self.assertEqual(list(read(self.host.path, ("param",))), [])

    def test_a_default_is_taken_checked_and_logged(self) -> None:
        ctx = self.context()
        self.assertEqual(ctx.suggest_float("lr", 1e-5, 0.1, log=True, default=1e-3), 1e-3)
        choices = [(1, 2), (3, 4)]
        self.assertEqual(ctx.suggest_categorical("betas", choices, default=(3, 4)), (3, 4))
        with self.assertRaisesRegex(SuggestError, "from 0 to 8, and 9 is not"):
            ctx.suggest_int("n", 0, 8, default=9)
        with self.assertRaises(LogError):
            ctx.suggest_float("a//b", 0, 1, default=0.5)
        params = {each["key"]: each["value"] for each in read(self.host.path, ("param",))}
        self.assertEqual(params, {"lr": 1e-3, "betas": [3, 4]})

    def test_outside_a_study_nothing_is_pruned(self) -> None:
        ctx = self.context()
        ctx.report(3, math.inf)
        self.assertFalse(ctx.should_prune())
        (report,) = read(self.host.path, ("report",))
        self.assertEqual((report["step"], report["value"]), (3, "Infinity"))
        self.assertEqual((ctx.trial_id, ctx.trial_number, ctx.study_name), (None, None, None))

    def test_a_context_does_not_go_to_another_process(self) -> None:
        ctx = self.context()
        for part in (ctx, ctx.tracker):
            with self.assertRaisesRegex(TypeError, "can't be sent to another process"):
                pickle.dumps(part)

    def test_what_is_no_number_is_refused_before_the_study_sees_it(self) -> None:
        ctx = self.context()
        calls: list[Callable[[], object]] = [
            lambda: ctx.suggest_int("n", 0.5, 3),  # type: ignore[arg-type]
            lambda: ctx.suggest_float("x", "0", 1),  # type: ignore[arg-type]
            lambda: ctx.progress(-1, 3),
            lambda: ctx.progress_steps(0.5, 3),  # type: ignore[arg-type]
            lambda: ctx.report(0.5, 1.0),  # type: ignore[arg-type]
            lambda: ctx.report(1, None),
        ]
        for call in calls:
            with self.assertRaises(LogError):
                call()

    def test_a_wrong_result_is_refused_where_it_is_made(self) -> None:
        wrong: list[tuple[Callable[[], TrainingResult], type[Exception]]] = [
            (lambda: TrainingResult("x"), LogError),  # type: ignore[arg-type]
            (lambda: TrainingResult(0.5, direction="up"), ValueError),
            (lambda: TrainingResult(0.5, "a//b"), LogError),
            (lambda: TrainingResult(0.5, metrics={"": 1.0}), LogError),
            (lambda: TrainingResult(0.5, epochs_completed=0.5), LogError),  # type: ignore[arg-type]
        ]
        for make, error in wrong:
            with self.assertRaises(error):
                make()
        self.assertEqual(TrainingResult(1).primary_metric, 1.0)
