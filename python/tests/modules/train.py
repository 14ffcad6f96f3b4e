"""Train functions for the tests."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Optional

from explr_sdk import LogError, TrainingContext, TrainingResult, TrialPruned

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


def everything(ctx: TrainingContext) -> TrainingResult:
    """Logs one of each kind."""
    tracker = ctx.tracker
    for epoch in ctx.epochs(range(2)):
        tracker.log_metric("loss", 1 / (epoch + 1), epoch)
        tracker.log_metrics({"a": epoch, "b": float("inf")})
    tracker.log_metric("late", Number(3), 7)
    tracker.log_metric("late", True)
    tracker.log_param("lr", 0.1)
    tracker.log_params({"layers": [1, 2], "nothing": None})
    tracker.set_tag("owner", Path("me"))
    tracker.log_dict({"x": float("nan")}, "more/values.yaml")
    tracker.log_text("hé", "text.txt")
    tracker.log_figure(Figure(), "plots/loss.png")
    tracker.log_figure(b"bytes", "plots/raw.png")
    source = ctx.checkpoint_dir.parent / "source"
    (source / "inner").mkdir(parents=True)
    (source / "inner" / "file").write_text("content")
    tracker.log_artifact(source)
    tracker.log_artifact(source / "inner" / "file", "copies/")
    tracker.log_dataset("digits", "abc", context="training", schema={"columns": 64})
    ctx.info("for whoever watches")
    ctx.warn("careful")
    ctx.debug("detail")
    ctx.report(1, 0.25)
    ctx.save_checkpoint("epoch-2.pt", lambda path: path.write_text("w"), epoch=2, step=10)
    return TrainingResult(
        0.98,
        "val_accuracy",
        "maximize",
        metrics={"val_loss": 0.25},
        best_model_path="artifacts/model",
        epochs_completed=2,
    )


class Number:
    """Like a tensor of one element."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __float__(self) -> float:
        return float(self.value)


class Figure:
    """Like a figure of matplotlib."""

    def savefig(self, path: Path) -> None:
        Path(path).write_bytes(b"picture")


def search(ctx: TrainingContext) -> Optional[float]:
    """Asks the study, and ends when it says so."""
    lr = ctx.suggest_float("lr", 1e-5, 0.1, log=True)
    layers = ctx.suggest_int("layers", 1, 9, step=2)
    name = ctx.suggest_categorical("optimizer", ["sgd", "adam"])
    assert (lr, layers, name) == (0.01, 3, "adam"), (lr, layers, name)
    assert (ctx.trial_id, ctx.trial_number, ctx.study_name) == (17, 4, "digits")
    for step in range(5):
        ctx.report(step, 1.0 / (step + 1))
        if ctx.should_prune():
            raise TrialPruned
    return None


def reports(ctx: TrainingContext) -> None:
    ctx.report(0, 3.0)
    ctx.report(1, 2.0)


def returns(ctx: TrainingContext) -> Any:
    return {"dict": {"val_accuracy": 0.9, "val_loss": 0.1}, "number": Number(0.25)}.get(
        ctx.hyperparameters["what"], ctx.hyperparameters["what"]
    )


def fails(ctx: TrainingContext) -> None:
    try:
        raise KeyError("lr")
    except KeyError as error:
        raise ValueError("bad learning rate") from error  # the place


def exits(ctx: TrainingContext) -> None:
    sys.exit(3)


class OutOfMemoryError(RuntimeError):
    """Named as PyTorch's is."""


def out_of_memory(ctx: TrainingContext) -> None:
    raise OutOfMemoryError("CUDA out of memory. Tried\nException raised from malloc at x.cpp:1")


def prunes_without_a_report(ctx: TrainingContext) -> None:
    raise TrialPruned


def takes_nothing() -> None:
    pass


async def asynchronous(ctx: TrainingContext) -> None:
    pass


NOT_A_FUNCTION = 3


def logs_for_ever(ctx: TrainingContext) -> None:
    for step in range(10**9):
        ctx.tracker.log_metric("loss", 0.5, step)


def with_children(ctx: TrainingContext) -> float:
    """Starts a process by fork and one by exec, and waits to be killed."""
    child = os.fork()
    if child == 0:
        time.sleep(1000)
    sleeper = subprocess.Popen(["sleep", "1000"])
    ctx.tracker.log_metrics({"forked": child, "started": sleeper.pid}, 0)
    time.sleep(1000)
    return 0.0


def holds_nothing_in_children(ctx: TrainingContext) -> float:
    """A forked child can't log, and ends at SIGTERM like any other."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def child() -> None:
        try:
            ctx.tracker.log_metric("loss", 0.5, 0)
        except LogError as error:
            theirs.send(str(error))
        time.sleep(1000)

    process = context.Process(target=child)
    process.start()
    ctx.tracker.log_param("error", ours.recv())
    process.terminate()
    process.join()
    ctx.tracker.log_param("ended by", -(process.exitcode or 0) == signal.SIGTERM)
    return 0.0


def goes_on(ctx: TrainingContext) -> float:
    """Goes on from its newest checkpoint, and dies in the first attempt."""
    found = ctx.latest_checkpoint()
    start = found.epoch if found else 0
    for epoch in range(start, 4):
        ctx.tracker.log_metric("loss", epoch / 3, epoch)
        ctx.tracker.log_metric("counted", 0.5)
        ctx.tracker.log_param("once", "same")
        ctx.report(epoch, epoch / 3)
        if ctx.attempt == 1 and epoch == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        ctx.save_checkpoint(
            f"{epoch}.pt", lambda path: path.write_text("w"), epoch=epoch + 1, step=0
        )
    return start


def starts_over(ctx: TrainingContext) -> float:
    for step in range(3):
        ctx.tracker.log_metric("loss", 0.5, step)
    if ctx.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    ctx.tracker.log_metric("loss", 0.5, 3)
    return 0.5


def fills_the_disk(ctx: TrainingContext) -> float:
    import resource

    size = (ctx.checkpoint_dir.parent / "events.jsonl").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, resource.RLIM_INFINITY))
    ctx.tracker.log_metric("loss", 0.5, 0)
    return 0.5


def at_exit(ctx: TrainingContext) -> float:
    import atexit

    atexit.register(lambda: (ctx.checkpoint_dir / "exit").write_text("was here"))
    atexit.register(lambda: print("printed at exit", end=""))
    return 0.5


def busy(ctx: TrainingContext) -> float:
    """Computes without a pause, in Python."""
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        pass
    return 0.5


def holds_the_lock(ctx: TrainingContext) -> float:
    """Lets no other thread of Python run, nor any signal handler, for hours."""
    while not ctx.stop_requested:
        time.sleep(0.01)
    return float(sum(range(10**12)))


def square(value: int) -> int:
    return value * value


def spawns(ctx: TrainingContext) -> float:
    """Has processes of its own compute, started in each of the ways that Python has."""
    total = 0
    # A pool that is done at once ends processes that have hardly begun.
    for method in (*["fork"] * 10, "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            total += sum(pool.map(square, range(4)))
    return total


def saves_for_ever(ctx: TrainingContext) -> None:
    """Replaces its one checkpoint over and over; the file says what its record must say."""
    found = ctx.latest_checkpoint()
    epoch = 0
    if found is not None:
        (file,) = found.path.iterdir() if found.path.is_dir() else [found.path]
        epoch = int(file.read_text())
        ctx.tracker.log_param(f"attempt {ctx.attempt}", epoch == found.epoch)

    def write_file(path: Path) -> None:
        path.write_text(str(epoch))

    def write_folder(path: Path) -> None:
        path.mkdir()
        write_file(path / "model")

    while True:
        epoch += 1
        write = write_folder if epoch % 3 else write_file
        ctx.save_checkpoint("last", write, epoch=epoch, step=0)
        ctx.progress(epoch, epoch)
