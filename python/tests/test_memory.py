from __future__ import annotations

import os
from typing import Any
from unittest import TestCase, mock

from explr_sdk import memory

BYTES, GB = "EXPLR_GPU_MEMORY_BYTES", "EXPLR_GPU_MEMORY_GB"
JAX = "XLA_PYTHON_CLIENT_MEM_FRACTION"


def torch(gpus: int) -> Any:
    cuda = mock.Mock()
    cuda.is_available.return_value = gpus > 0
    cuda.device_count.return_value = gpus
    cuda.get_device_properties.return_value = mock.Mock(total_memory=80 * 10**9)
    return mock.Mock(cuda=cuda)


def tensorflow(gpus: list[str]) -> Any:
    config = mock.Mock()
    config.list_physical_devices.return_value = gpus
    config.LogicalDeviceConfiguration = lambda memory_limit: memory_limit
    return mock.Mock(config=config)


class MemoryTest(TestCase):
    def limited(
        self, libraries: dict[str, Any], environment: dict[str, str], *arguments: float
    ) -> int | None:
        with (
            mock.patch.dict("sys.modules", libraries),
            mock.patch.dict("os.environ", environment, clear=True),
            mock.patch("explr_sdk._nvml.smallest_memory", return_value=40 * 10**9),
        ):
            limit = memory.limit_gpu_memory(*arguments)
            self.jax = os.environ.get(JAX)
        return limit

    def test_every_framework_is_told_in_its_own_way(self) -> None:
        libraries = {"torch": torch(2), "tensorflow": tensorflow(["a", "b"])}
        self.assertEqual(self.limited(libraries, {}, 20), 20 * 10**9)
        fraction = libraries["torch"].cuda.set_per_process_memory_fraction
        self.assertEqual(fraction.call_args_list, [mock.call(0.25, 0), mock.call(0.25, 1)])
        logical = libraries["tensorflow"].config.set_logical_device_configuration
        megabytes = 20 * 10**9 >> 20
        self.assertEqual(
            logical.call_args_list, [mock.call("a", [megabytes]), mock.call("b", [megabytes])]
        )
        self.assertEqual(self.jax, "0.5000")

    def test_the_limit_comes_from_the_environment(self) -> None:
        for environment, limit in (
            ({}, None),
            ({GB: "8"}, 8 * 10**9),
            ({BYTES: "1000000000"}, 10**9),
            ({GB: "8", BYTES: "1000000000"}, 10**9),
            ({GB: "0", BYTES: "1000000000"}, 10**9),
            ({GB: ""}, None),
        ):
            self.assertEqual(self.limited({"torch": torch(0)}, environment), limit)
        with self.assertRaisesRegex(ValueError, f"{GB} must be a number, not `much`"):
            self.limited({}, {GB: "much"})
        for wrong in (0, -1, float("nan"), float("inf")):
            with self.assertRaisesRegex(ValueError, "must be above 0 GB"):
                self.limited({}, {}, wrong)

    def test_a_limit_above_what_the_gpu_has_is_all_of_it(self) -> None:
        libraries = {"torch": torch(1)}
        self.limited(libraries, {}, 1000)
        libraries["torch"].cuda.set_per_process_memory_fraction.assert_called_once_with(1.0, 0)
        self.assertEqual(self.jax, "1.0000")

    def test_what_is_too_late_is_a_warning(self) -> None:
        late = tensorflow(["a"])
        late.config.set_logical_device_configuration.side_effect = RuntimeError("initialised")
        with self.assertWarnsRegex(UserWarning, "TensorFlow can't be told .* initialised"):
            self.limited({"tensorflow": late}, {}, 1)
        with self.assertWarnsRegex(UserWarning, "JAX is imported already"):
            self.limited({"jax": mock.Mock()}, {}, 1)

    def test_a_worker_tells_all_but_pytorch(self) -> None:
        libraries = {"torch": torch(1), "tensorflow": tensorflow(["a"])}
        for environment, told in (({BYTES: "1000000000"}, 1), ({}, 0)):
            libraries["tensorflow"].reset_mock()
            with (
                mock.patch.dict("sys.modules", libraries),
                mock.patch.dict("os.environ", environment, clear=True),
                mock.patch("explr_sdk._nvml.smallest_memory", return_value=40 * 10**9),
            ):
                memory.begin()
                self.assertEqual(os.environ.get(JAX), "0.0250" if told else None)
            logical = libraries["tensorflow"].config.set_logical_device_configuration
            self.assertEqual(logical.call_count, told)
            libraries["torch"].cuda.set_per_process_memory_fraction.assert_not_called()
