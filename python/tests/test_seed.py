from __future__ import annotations

import random
import subprocess
import sys
from unittest import mock

from explr_sdk import seed
from tests.orchestrator import Case, environ


class SeedTest(Case):
    def test_the_same_seed_gives_the_same_numbers(self) -> None:
        drawn = []
        for value in (1, 1, 2):
            seed.seed_everything(value)
            drawn.append(random.random())
        self.assertEqual(drawn[0], drawn[1])
        self.assertNotEqual(drawn[0], drawn[2])

    def test_libraries_that_are_imported_are_seeded_within_their_ranges(self) -> None:
        libraries = {name: mock.Mock() for name in ("numpy", "torch", "tensorflow")}
        with mock.patch.dict("sys.modules", libraries):
            seed.seed_everything(2**64 - 1)
        libraries["numpy"].random.seed.assert_called_once_with(2**32 - 1)
        libraries["torch"].manual_seed.assert_called_once_with(2**64 - 1)
        libraries["tensorflow"].random.set_seed.assert_called_once_with(2**31 - 1)

    def test_a_library_that_is_imported_later_is_seeded_then(self) -> None:
        package = self.folder / "numpy"
        package.mkdir()
        (package / "__init__.py").write_text("from numpy import random\n")
        (package / "random.py").write_text("seeds = []\nseed = seeds.append\n")
        program = (
            "from explr_sdk import seed; import sys\n"
            "seed.begin(7); assert 'numpy' not in sys.modules\n"
            "import numpy; seed.seed_everything(); seed.seed_everything(8)\n"
            "import importlib; importlib.reload(numpy)\n"
            "print(numpy.random.seeds, type(numpy.__spec__.loader).__name__)\n"
        )
        path = f"{self.folder}:{environ()['PYTHONPATH']}"
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=environ(PYTHONPATH=path),
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertEqual(done.stdout, "[7, 7, 8] SourceFileLoader\n", done.stderr)
