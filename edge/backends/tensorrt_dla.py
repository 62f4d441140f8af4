"""DLA, the fixed-function accelerator of Jetson Xavier and Orin: what can run there, and how a build asks for it.

DLA takes no QuantizeLinear/DequantizeLinear (NVIDIA/TensorRT#2222, NVIDIA-AI-IOT/cuDLA-samples#19), so that the
int8 graph would run on the GPU altogether; the float graph runs there in fp16. What DLA does not take (the uint8
input, normalisation, means, head) falls back to the GPU and is counted. TensorRT 10.7 was the last with DLA, 11.4.1
has it again for AGX Orin (NVIDIA's documentation of both). None of this has been tried on a device.
"""

from __future__ import annotations

import logging
from typing import Any

from edge_iqa.errors import DeviceUnavailable, InvalidInput

_LAST_BEFORE = (10, 7)
_FIRST_AFTER = (11, 4)
_LOG = logging.getLogger(__name__)


def dla_core(device: str) -> int | None:
    """Return the core of ``dla0`` or ``dla1``, None for ``gpu``."""
    return int(device.removeprefix("dla")) if device.startswith("dla") else None


def check_dla(version: tuple[int, int], precision: str) -> None:
    """Raise DeviceUnavailable or InvalidInput where no DLA build of this precision is possible."""
    if precision != "fp16":
        raise InvalidInput(
            f"DLA cannot run the precision {precision}",
            why="it takes no Q/DQ graph, and float32 not at all: everything would run on the GPU",
            fix="use the precision fp16, or the GPU",
        )
    if _LAST_BEFORE < version < _FIRST_AFTER:
        raise DeviceUnavailable(
            f"TensorRT {version[0]}.{version[1]} has no DLA",
            why="10.7 was the last that had it; 11.4.1 has it again, on AGX Orin",
            fix="use the GPU, or JetPack 6 (TensorRT 10.3)",
        )


def configure_dla(tensorrt: Any, builder: Any, config: Any, network: Any, core: int) -> tuple[int, int]:
    """Set a build up for a DLA core with the GPU as fallback; return how many layers run on DLA, and all.

    Raises DeviceUnavailable where the board lacks the core, or no layer can run on it.
    """
    cores = int(builder.num_DLA_cores)
    if core >= cores:
        raise DeviceUnavailable(
            f"There is no DLA core {core}",
            why=f"TensorRT counts {cores}; Orin Nano and PCs have none",
            fix="use the GPU: --backend tensorrt",
        )
    config.default_device_type = tensorrt.DeviceType.DLA
    config.DLA_core = core
    config.set_flag(tensorrt.BuilderFlag.GPU_FALLBACK)
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    taken = sum(bool(config.can_run_on_DLA(layer)) for layer in layers)
    _LOG.warning("DLA core %d takes %d of %d layers; the GPU runs the rest", core, taken, len(layers))
    if taken == 0:
        raise DeviceUnavailable(
            "DLA can run no layer of this graph", why="everything would run on the GPU", fix="use the GPU"
        )
    return taken, len(layers)
