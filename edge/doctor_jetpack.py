"""What each JetPack of a Jetson ships, by its Jetson Linux (L4T) release, and what that means for edge-iqa.

From NVIDIA's release notes and documentation; what is really installed is found out by the probes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class JetPack:
    """One JetPack: versions as its release notes have them; ``l4t`` is the prefix of its L4T releases."""

    name: str
    l4t: tuple[str, ...]
    ubuntu: str
    python: str
    tensorrt: str
    cuda: str
    note: str = ""


JETPACKS = (
    JetPack(
        "4", ("32.",), "18.04", "3.6", "8.2", "10.2",
        "its TensorRT is too old for uint8 inputs and its Python for edge-iqa; there is no way to use this board",
    ),
    JetPack(
        "5", ("34.", "35."), "20.04", "3.8", "8.5", "11.4",
        "its TensorRT speaks Python 3.8 only, and edge-iqa needs 3.10: build and run the engine with trtexec or C++ "
        "('edge-iqa export --to tensorrt' on another machine writes the opset-17 graph, the command line and the "
        "C++ example), or update an Orin to JetPack 6",
    ),
    JetPack(
        "6.0", ("36.2", "36.3"), "22.04", "3.10", "8.6", "12.2",
        "TensorRT 8.6 takes the opset-17 variant of the graph, which is made on loading and needs the package onnx; "
        "JetPack 6.1 or newer reads the graph as it is",
    ),
    JetPack("6.1 or 6.2", ("36.",), "22.04", "3.10", "10.3", "12.6"),
    JetPack("7.0 or 7.1", ("38.",), "24.04", "3.12", "10.13", "13.0", "this TensorRT has no DLA"),
    JetPack(
        "7.2", ("39.",), "24.04", "3.12", "10.16", "13.2",
        "this TensorRT has no DLA; TensorRT 11.4.1 (package for SBSA, JetPack 7.2.2) has it again on AGX Orin",
    ),
)  # fmt: skip


def jetpack_of(l4t: str) -> JetPack | None:
    """Return the JetPack of an L4T release such as ``36.4.3``; None for ``none`` and for releases not known."""
    found = (jetpack for jetpack in JETPACKS if l4t.startswith(jetpack.l4t))
    return next(found, None)
