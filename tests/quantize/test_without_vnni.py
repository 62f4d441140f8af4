"""Weights that meet in 16 bits: without VNNI their sums do not saturate, and with larger ones they would."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edge_iqa.benchmarks import without_vnni
from edge_iqa.export.openvino import to_openvino
from edge_iqa.export.qdq import round_biases, unsigned_dialect
from edge_iqa.models.efficientnet_lite import LITE_MEAN, LITE_STD
from edge_iqa.models.teacher import normalised
from edge_iqa.quantize.fake_quantization import QuantConv2d
from edge_iqa.quantize.freeze import export_int8
from edge_iqa.quantize.pixel_grid import pixel_grid
from edge_iqa.quantize.prepare import prepare
from edge_iqa.quantize.ranges import set_ranges

CHANNELS, SIDE = 32, 64
HELD = """
import json, sys
import numpy as np, openvino
model = openvino.Core().compile_model(sys.argv[1], "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
print(json.dumps([float(model([one[None]])[0][0, 0]) for one in np.load(sys.argv[2])]))
"""

pytestmark = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="it is x86 that saturates")


class _Net(nn.Module):
    """Two convolutions; the second has large weights of one sign, side by side."""

    def __init__(self, middle: nn.Conv2d) -> None:
        super().__init__()
        self.stem, self.middle = nn.Conv2d(3, CHANNELS, 3, stride=2, padding=1), middle
        self.first, self.second = nn.ReLU(), nn.ReLU()
        self.fc = nn.Linear(CHANNELS, 1)
        with torch.no_grad():
            self.stem.weight.abs_()
            self.stem.bias.fill_(0.1)
            middle.weight.normal_().abs_()
            middle.weight[::2] = 1.0
            self.fc.weight.fill_(0.01)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.fc(self.second(self.middle(self.first(self.stem(x)))).mean((2, 3)))
        return out


def _apart(middle: nn.Conv2d, folder: Path, *, paired: bool) -> float:
    """Return by which share OpenVINO held to AVX2 is off the fake-quantized network, at most."""
    pictures = np.stack([np.full((SIDE, SIDE, 3), value, np.uint8) for value in (255, 254, 200)])
    pixels = normalised(torch.from_numpy(pictures), LITE_MEAN, LITE_STD)
    torch.manual_seed(1)
    prepared = prepare(_Net(middle), pixels=pixel_grid(LITE_MEAN, LITE_STD), spare_channels=False)
    layer = prepared.get_submodule("middle")
    assert isinstance(layer, QuantConv2d)
    if not paired:
        layer.paired = False
        layer.weight_scale.copy_(layer.scale_of(layer.weight))
    set_ranges(prepared, [pixels])
    export_int8(prepared, LITE_MEAN, LITE_STD, (SIDE, SIDE), folder / "net.onnx")
    xml, weights = to_openvino(round_biases(unsigned_dialect(onnx.load(folder / "net.onnx"))))
    (folder / "net.xml").write_bytes(xml)
    (folder / "net.bin").write_bytes(weights)
    np.save(folder / "pictures.npy", pictures)
    command = [sys.executable, "-c", HELD, str(folder / "net.xml"), str(folder / "pictures.npy")]
    held = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    found = json.loads(subprocess.run(command, env=held, check=True, stdout=subprocess.PIPE).stdout)
    with torch.no_grad():
        wanted = prepared(pixels).flatten().numpy()
    return float(np.abs(np.array(found) / wanted - 1).max())


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Conv2d(CHANNELS, CHANNELS, 1),
        lambda: nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
        lambda: nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, groups=CHANNELS),
    ],
    ids=["pointwise", "full", "depthwise"],
)
def test_sums_of_two_products_do_not_saturate(make: object, tmp_path: Path) -> None:
    assert callable(make)
    assert _apart(make(), tmp_path, paired=True) < 1e-3


def test_they_would_with_pairs_beyond_the_limit(tmp_path: Path) -> None:
    assert _apart(nn.Conv2d(CHANNELS, CHANNELS, 1), tmp_path, paired=False) > 0.1


def test_the_table_tells_what_was_held_and_what_could_not_be(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(without_vnni.shutil, "which", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["without_vnni", "--pictures", "2"])
    without_vnni.main()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()[2:]]
    held = {row[0]: row for row in rows}
    assert "not installed" in held["onnxruntime"][1]
    assert held["onnxruntime"][3:] == held["tflite"][3:] == ["", ""]
    assert held["openvino"][1:3] == ["`ONEDNN_MAX_CPU_ISA=AVX2`", "2"]
    assert 0 <= float(held["openvino"][4]) < 1e-3
