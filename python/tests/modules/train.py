"""Train functions for the tests."""

import os
import random
import time

from explr_sdk import TrainingContext, TrainingResult, TrialPruned

PID = os.getpid()


def echo(ctx: TrainingContext) -> float:
    """Logs what a fork must not change, and waits for the request to stop."""
    print("echo begins")
    ctx.tracker.log_param("run", os.environ["EXPLR_RUN_ID"])
    ctx.tracker.log_param("variable", os.environ.get("OF_THIS_RUN"))
    ctx.tracker.log_param("parent", os.getppid() == PID)
    while not ctx.stop_requested:
        time.sleep(0.01)
    return 0.5


def imported_in(ctx: TrainingContext) -> float:
    return PID


def draw(ctx: TrainingContext) -> float:
    return random.random()
