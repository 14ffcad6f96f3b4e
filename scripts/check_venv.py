"""Checks that every file of every installed package is there, in its full size.

Prints what is missing; the exit status says whether anything is.
"""

import importlib.metadata
import os
import sys

problems = []
for package in importlib.metadata.distributions():
    name = package.metadata["Name"] if package.metadata else None
    if not name or package.files is None:
        problems.append(f"{package._path}: no metadata or list of files")
        continue
    for file in package.files:
        path = file.locate()
        if str(file).endswith(".pyc"):
            continue
        try:
            size = os.stat(path).st_size
        except OSError:
            problems.append(f"{name}: {file} is missing")
            continue
        if file.size is not None and file.size != size:
            problems.append(f"{name}: {file} has {size} bytes instead of {file.size}")

print("\n".join(problems[:50]))
sys.exit(bool(problems))
