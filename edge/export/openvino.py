"""OpenVINO IR from a Q/DQ graph."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edge_iqa.errors import MissingDependency

if TYPE_CHECKING:
    import onnx


def to_openvino(model: onnx.ModelProto) -> tuple[bytes, bytes]:
    """Return the IR (xml, bin) of a Q/DQ graph in the unsigned dialect; its scales are kept, not calibrated anew.

    Raises MissingDependency where openvino is not installed.
    """
    try:
        import openvino
    except ImportError as error:
        raise MissingDependency(
            "OpenVINO is not installed", why=str(error), fix="pip install 'edge-iqa[openvino]'"
        ) from error
    converted = openvino.Core().read_model(io.BytesIO(model.SerializeToString()))
    with tempfile.TemporaryDirectory() as folder:
        xml = Path(folder, "model.xml")
        openvino.save_model(converted, xml, compress_to_fp16=False)
        return xml.read_bytes(), xml.with_suffix(".bin").read_bytes()
