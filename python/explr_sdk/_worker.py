"""The worker: the process that runs one train function once.

``python -m explr_sdk._worker`` gets its assignment over the control socket,
writes the run's journal itself, and tells its outcome.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import os
import sys
from pathlib import Path
from typing import Any, cast

from explr_sdk import _failure, _load, _mlflow, _watchdog, memory, result, seed
from explr_sdk._artifacts import ArtifactDir
from explr_sdk._control import FD_VARIABLE, Control, inherited
from explr_sdk._host import Host
from explr_sdk._load import Function
from explr_sdk._numbers import number
from explr_sdk._pulse import Pulse
from explr_sdk.context import TrainingContext
from explr_sdk.errors import LogError

Outcome = dict[str, Any]


def main() -> int:
    """Runs the assignment of this process; returns the code to exit with."""
    ready_output()
    try:
        control = Control(inherited(FD_VARIABLE))
    except OSError as error:
        print(f"explr worker: no control socket: {error}", file=sys.stderr)
        return 1
    return run(control)


def run(control: Control, function: Function | None = None) -> int:
    """Runs the assignment that comes over ``control``, with what is loaded already."""
    start = control.receive()
    if start is None or start.get("type") != "start":
        return 1
    outcome = _work(start, control, function)
    control.send({"type": "finished", "outcome": outcome})
    return 0


def ready_output() -> None:
    """Lets what is printed be in the log whatever happens next, a crash's stack too.

    For a template before it forks: afterwards its streams are others, behind the
    back of these objects.
    """
    for stream in (sys.stdout, sys.stderr):
        cast("Any", stream).reconfigure(line_buffering=True, errors="backslashreplace")
    faulthandler.enable()


def exit_now(code: int) -> None:
    """Ends the process: exit functions run, destructors of libraries in C don't."""
    for finish in (atexit._run_exitfuncs, sys.stdout.flush, sys.stderr.flush):
        try:
            finish()
        except BaseException as error:
            print(f"explr worker: at exit: {error!r}", file=sys.stderr)
    os._exit(code)


def _work(start: dict[str, Any], control: Control, function: Function | None) -> Outcome:
    run = start["context"]
    try:
        host = Host(Path(start["journal"]), run["attempt"], control.send)
    except LogError as error:
        return {"err": _failure.failure("journal", str(error))}
    os.register_at_fork(after_in_child=control.forget)
    _watchdog.start(control, host)
    pulse = Pulse(host)
    try:
        outcome = _execute(start["code"], run, host, function)
    finally:
        pulse.stop()
        host.close()
    return outcome


def _execute(
    code: dict[str, Any], run: dict[str, Any], host: Host, function: Function | None
) -> Outcome:
    membership = _mlflow.begin(host)
    try:
        call = function or _load.load(code)
    except _failure.LoadError as error:
        _tell(error.__cause__ or error, run, host)
        return {"err": error.failure}
    try:
        host.send({"type": "started"})
        seed.begin(run["seed"])
        memory.begin()
        context = TrainingContext(run, host)
        membership.params = context.tracker.params
        returned = _call(call, context, code.get("call", "function"))
        found = result.read(returned, host.last_report[1] if host.last_report else None)
        # A second attempt that logged nothing still has to say so.
        host.tell_start()
        return _conclude(result.to_json(found, host.stop_seen), host)
    except BaseException as error:
        if _failure.is_pruned(error):
            step, value = host.last_report or (0, float("nan"))
            return {"pruned": {"step": step, "value": number(value)}}
        _tell(error, run, host)
        return {"err": _failure.of_exception(error, call)}


def _tell(error: BaseException, run: dict[str, Any], host: Host) -> None:
    """Prints the traceback and keeps it, as a file too: MLflow shows that."""
    text = _failure.show(error)
    host.log_line("error", text, printed=True)
    name = f"failures/attempt-{run['attempt']}.txt"
    with contextlib.suppress(LogError, OSError):
        ArtifactDir(Path(run["artifact_dir"])).place(
            name, lambda path: path.write_text(text + "\n", errors="replace")
        )
        host.log_event({"type": "artifact", "path": name})


def _call(function: Function, context: TrainingContext, kind: str) -> Any:
    if kind == "objective":
        from explr_sdk.integrations.optuna import call_objective

        return call_objective(function, context)
    return function(context)


def _conclude(message: dict[str, Any], host: Host) -> Outcome:
    """The outcome, whose result is in the journal, on disk."""
    try:
        host.log_event({"type": "result", **message})
    except LogError as error:
        return {"err": _failure.failure("journal", str(error))}
    return {"ok": message}


if __name__ == "__main__":
    exit_now(main())
