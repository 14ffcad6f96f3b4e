"""Train functions that behave well and badly; ``tests/plugins/fixture`` in Python."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time

import explr_sdk
from explr_sdk import TrainingContext, TrainingResult, TrialPruned

IMPORTED_IN = os.getpid()


def descend(ctx: TrainingContext) -> TrainingResult:
    """Logs everything once and walks down a parabola."""
    x = 1.0
    ctx.tracker.set_tag("kind", "parabola")
    ctx.tracker.log_param("x0", x)
    for step in ctx.epochs(range(ctx.hyperparameters["steps"])):
        x -= ctx.hyperparameters["lr"] * 2 * x
        ctx.tracker.log_metric("loss", x * x, step)
    ctx.tracker.log_text("down and down", "notes/walk.txt")
    ctx.tracker.log_dict({"x": x}, "x.json")
    return TrainingResult(x * x, primary_metric_name="loss", epochs_completed=ctx.hyperparameters["steps"])


def knows(ctx: TrainingContext) -> float:
    """Writes down what it was told."""
    told = {
        "hyperparameters": ctx.hyperparameters,
        "experiment_name": ctx.experiment_name,
        "trial_id": ctx.trial_id,
        "trial_number": ctx.trial_number,
        "device": ctx.device,
        "seed": ctx.seed,
        "attempt": ctx.attempt,
        "threads": ctx.threads,
        "checkpoint_dir": str(ctx.checkpoint_dir),
        "run_id": ctx.run_id,
        "omp": os.environ["OMP_NUM_THREADS"],
        "package": explr_sdk.__file__,
        "forked": IMPORTED_IN != os.getpid(),
        "mark": next(
            part
            for part in open("/proc/self/environ").read().split("\0")
            if part.startswith("EXPLR_RUN_ID=")
        ),
    }
    ctx.tracker.log_dict(told, "told.json")
    return 0.0


def bowl(ctx: TrainingContext) -> float:
    """A bowl around 3, whose hopeless trials are pruned."""
    x = ctx.hyperparameters["x"]
    value = (x - 3) ** 2
    for step in range(10):
        ctx.report(step, value + 10 - step)
        if ctx.should_prune():
            raise TrialPruned
    return value


def suggests(ctx: TrainingContext) -> float:
    """Defines its own search space."""
    lr = ctx.suggest_float("lr", 1e-5, 1e-1, log=True)
    layers = ctx.suggest_int("layers", 1, 4)
    kind = ctx.suggest_categorical("kind", ["a", "b", None])
    return layers + lr + (0 if kind == "a" else 1)


def returns_a_dict(ctx: TrainingContext) -> dict:
    return {"val_loss": 0.5, "accuracy": 0.9}


def returns_nothing(ctx: TrainingContext) -> None:
    pass


def raises(ctx: TrainingContext) -> float:
    try:
        {}["missing"]
    except KeyError as error:
        raise ValueError("the data is unusable") from error
    return 0.0


def segfaults(ctx: TrainingContext) -> float:
    ctx.tracker.log_metric("loss", 1.0, 0)
    print("about to crash", flush=True)
    ctypes.string_at(0)
    return 0.0


def aborts(ctx: TrainingContext) -> float:
    os.abort()


def exits(ctx: TrainingContext) -> float:
    sys.exit(3)


def exits_at_once(ctx: TrainingContext) -> float:
    os._exit(3)


def hangs(ctx: TrainingContext) -> float:
    ctx.tracker.log_metric("loss", 1.0, 0)
    while True:
        time.sleep(1)


def freezes(ctx: TrainingContext) -> float:
    os.kill(os.getpid(), signal.SIGSTOP)
    return 0.0


def waits(ctx: TrainingContext) -> float:
    """Counts until it is asked to stop."""
    for step in range(10**9):
        ctx.tracker.log_metric("step", float(step), step)
        time.sleep(0.005)
        if ctx.stop_requested:
            break
    return 1.0


def prints(ctx: TrainingContext) -> float:
    line = "x" * 99 + "\n"
    for _ in range(ctx.hyperparameters["megabytes"] * 10_000):
        sys.stdout.write(line)
    return 0.0


def not_a_number(ctx: TrainingContext) -> float:
    ctx.tracker.log_metric("loss", float("nan"), 0)
    ctx.tracker.log_metric("loss", float("inf"), 1)
    return float("nan")


def eats_memory(ctx: TrainingContext) -> float:
    hoard = []
    while True:
        hoard.append(bytearray(16 << 20))


def out_of_gpu_memory(ctx: TrainingContext) -> float:
    raise RuntimeError(
        "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 31.36 GiB "
        "of which 6.00 GiB is free."
    )


def has_children(ctx: TrainingContext) -> float:
    """Leaves a child in its group, one in a session of its own, and a fork."""
    group = subprocess.Popen(["sleep", "600"])
    session = subprocess.Popen(["sleep", "600"], start_new_session=True)
    fork = os.fork()
    if fork == 0:
        time.sleep(600)
        os._exit(0)
    pids = f"{group.pid} {session.pid} {fork}"
    ctx.tracker.log_text(pids, "pids")
    if ctx.hyperparameters.get("return"):
        return 0.0
    ctx.tracker.log_metric("loss", 1.0, 0)
    while True:
        time.sleep(1)


def counts(ctx: TrainingContext) -> float:
    """Counts to `steps` with a checkpoint every ten, and goes on from the newest."""
    start = 0
    newest = ctx.latest_checkpoint()
    if newest is not None:
        start = json.loads(newest.path.read_text())["step"]
    for step in range(start, ctx.hyperparameters["steps"]):
        ctx.tracker.log_metric("count", step * 0.1, step)
        time.sleep(0.002)
        if (step + 1) % 10 == 0:
            state = json.dumps({"step": step + 1})
            name = f"step-{step + 1}.json"
            ctx.save_checkpoint(name, lambda path: path.write_text(state), epoch=0, step=step + 1)
    return 0.0


def logs_fast(ctx: TrainingContext) -> float:
    for step in range(ctx.hyperparameters["metrics"]):
        ctx.tracker.log_metric("value", step * 0.5, step)
    return 0.0


def uses_threads(ctx: TrainingContext) -> float:
    def log(name: str) -> None:
        for step in range(200):
            ctx.tracker.log_metric(name, float(step), step)

    threads = [threading.Thread(target=log, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 0.0
