"""Writes the arrays that `tests/data_read.rs` reads, with NumPy itself.

Run in this folder: python arrays.py
"""

from pathlib import Path

import numpy as np

here = Path(__file__).parent / "arrays"
here.mkdir(exist_ok=True)

grid = np.arange(6).reshape(2, 3)
for kind in ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]:
    np.save(here / f"{kind}.npy", grid.astype(kind))
np.save(here / "fortran.npy", np.asfortranarray(np.arange(24, dtype="float32").reshape(2, 3, 4)))
np.save(here / "big_endian.npy", grid.astype(">f8") + 0.5)
np.save(here / "scalar.npy", np.float32(2.5))
np.save(here / "empty.npy", np.zeros((0, 3), "float32"))
np.save(here / "text.npy", np.array(["a", "bc"]))
np.save(here / "records.npy", np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f4")]))
np.lib.format.write_array(open(here / "version_2.npy", "wb"), grid.astype("int64"), version=(2, 0))
np.savez(here / "two.npz", x=grid.astype("float32"), y=np.array([1, 0]))
np.savez_compressed(here / "compressed.npz", x=np.tile(grid.astype("float32"), (50, 1)))
