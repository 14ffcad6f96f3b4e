"""Makes quantize.json: what PyTorch 2.10's dynamic int8 linear layer gives.

    python crates/explr-sdk/tests/reference/quantize.py
"""

import json
from pathlib import Path

import torch

torch.manual_seed(7)
weight, bias, values = torch.randn(5, 24), torch.randn(5), torch.randn(6, 24) * 3
weight[3] = 0
scales = weight.abs().amax(1) / 127
scales[3] = 1
quantized = torch.quantize_per_channel(
    weight, scales.double(), torch.zeros(5, dtype=torch.int64), 0, torch.qint8
)
packed = torch.ops.quantized.linear_prepack(quantized, bias)
output = torch.ops.quantized.linear_dynamic(values, packed, True)

reference = {
    "weight": weight.tolist(),
    "bias": bias.tolist(),
    "input": values.tolist(),
    "int8": quantized.int_repr().tolist(),
    "output": output.tolist(),
}
path = Path(__file__).with_suffix(".json")
path.write_text(json.dumps(reference, separators=(",", ":")) + "\n")
