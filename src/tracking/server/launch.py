"""Starts `mlflow server` detached, at low priority and in one process.

Written by explr at each start; changes are lost. Arguments: the database file,
then those of `mlflow server`.
"""

import os
import sys


def detach():
    try:
        os.setsid()
    except OSError:
        pass  # already the leader of its group
    os.closerange(3, 1024)  # whoever waits for a pipe of explr's parent
    try:
        os.nice(5)  # the training has priority
    except OSError:
        pass


def use_wal(database):
    """Write-ahead log: readers no longer wait for writers (1.4 times the requests)."""
    import sqlite3

    try:
        with sqlite3.connect(database, timeout=5) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.Error as error:
        print(f"explr: no write-ahead log for {database}: {error}", file=sys.stderr)


def serve_in_this_process():
    """Keeps `mlflow server` from starting a second interpreter for uvicorn.

    That one imports everything again: twice the memory, twice the time. If this
    version of MLflow is built otherwise, it goes its own way.
    """
    import uvicorn  # before mlflow.server, which looks for it
    import mlflow.server

    spawn = getattr(mlflow.server, "_exec_cmd", None)
    if spawn is None:
        return

    def run(command, *args, extra_env=None, **kwargs):
        if list(command[1:3]) != ["-m", "uvicorn"]:
            return spawn(command, *args, extra_env=extra_env, **kwargs)
        os.environ.update({key: str(value) for key, value in (extra_env or {}).items()})
        uvicorn.main(args=list(command[3:]), prog_name="uvicorn")
        sys.exit(0)

    mlflow.server._exec_cmd = run


def main():
    database, *arguments = sys.argv[1:]
    detach()
    use_wal(database)
    try:
        serve_in_this_process()
    except Exception as error:  # a guest in a private function: never let it matter
        print(f"explr: mlflow server runs in two processes: {error}", file=sys.stderr)
    from mlflow.cli import cli

    cli(args=["server", *arguments], prog_name="mlflow")


main()
