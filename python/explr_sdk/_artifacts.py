"""Puts files into the run's artifact folder, complete or not at all.

A file or folder is made in a temporary folder beside its destination, synced
and moved. Its record is written after that, so a record never names what is
not whole. Files are copied, never linked: the train function may go on
writing to its own.
"""

from __future__ import annotations

import itertools
import os
import shutil
from pathlib import Path
from typing import Callable

from explr_sdk._names import check_artifact
from explr_sdk.errors import LogError

_count = itertools.count()

Write = Callable[[Path], object]


def place(root: Path, name: str, write: Write, aside: Path | None = None) -> None:
    """Makes ``root/name`` with a function that writes a file or folder to the path it is given.

    What it replaces is kept under the name ``aside``, if that is given.
    """
    target = root / name
    # A folder, so that the file has its own name from the start: some formats
    # write the name into the file.
    folder = root / f".partial-{os.getpid()}-{next(_count)}"
    temporary = folder / target.name
    try:
        folder.mkdir(parents=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        if not temporary.exists():
            raise LogError(f"nothing was written to `{temporary}`, the path that was given")
        sync(temporary)
        _move(temporary, target, aside or folder / ".old", keep=aside is not None)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class ArtifactDir:
    """The run's artifact folder."""

    def __init__(self, root: Path) -> None:
        """The folder ``root``, which exists."""
        self.root = root

    def place(self, name: str, write: Write) -> None:
        """Makes ``name`` with a function that writes a file or folder to the path it is given."""
        check_artifact(name)
        self._check_parents(name)
        try:
            place(self.root, name, write)
        except OSError as error:
            raise LogError(f"can't write the artifact `{self.root / name}`: {error}") from error

    def copy(self, source: Path, name: str) -> None:
        """Copies a file, or a folder with all below it, to ``name``."""
        try:
            root = source.resolve(strict=True)
            if root == (self.root / name).resolve():
                # Written in place by the train function: nothing to copy.
                check_artifact(name)
                self._check_parents(name)
            elif root.is_dir():
                files = _list(root, root)
                self.place(name, lambda target: _copy_all(root, files, target))
            elif root.is_file():
                self.place(name, lambda target: shutil.copyfile(root, target))
            else:
                raise LogError(f"`{source}` is neither a file nor a folder")
        except OSError as error:
            raise LogError(f"can't read `{source}`: {error.strerror or error}") from error

    def _check_parents(self, name: str) -> None:
        """Refuses a destination that a link would take out of the folder."""
        path = self.root
        for part in name.split("/"):
            path = path / part
            if path.is_symlink():
                raise LogError(f"`{path}` is a symbolic link; log what it points to instead")


def sync(path: Path) -> None:
    """Returns when a file, or a folder with all below it, survives a power cut."""
    if path.is_dir():
        for entry in path.iterdir():
            sync(entry)
        sync_folder(path)
    elif path.is_file():
        with open(path, "rb") as file:
            os.fsync(file.fileno())


def remove(path: Path) -> None:
    """Removes a file or folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sync_folder(path: Path) -> None:
    """Makes the names in a folder durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _move(source: Path, target: Path, aside: Path, keep: bool) -> None:
    # A folder can't be replaced in one step; what is in its place goes first.
    if target.exists() and (keep or target.is_dir() or source.is_dir()):
        target.rename(aside)
    source.rename(target)


def _copy_all(root: Path, files: list[Path], target: Path) -> None:
    target.mkdir()
    for file in files:
        copy = target / file.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


def _list(root: Path, folder: Path) -> list[Path]:
    """All files below ``folder``. Links to folders or out of ``root`` are refused."""
    files = []
    for path in sorted(folder.iterdir()):
        if path.is_symlink():
            target = path.resolve()
            # A link to a folder could also be a circle.
            if root not in target.parents or target.is_dir():
                raise LogError(
                    f"`{path}` is a symbolic link to a folder or out of its own; log what it "
                    "points to instead"
                )
            files.append(path)
        elif path.is_dir():
            files.extend(_list(root, path))
        else:
            files.append(path)
    return files
