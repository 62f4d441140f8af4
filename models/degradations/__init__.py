"""Seeded image degradations with five ordered levels: the 24 of ARNIQA, mended, and those of cameras (ours).

Pictures are float32 RGB arrays (H, W, 3) in [0, 1]. `degrade` applies one degradation, `apply_steps` a
composition drawn by `draw_steps`.
"""

from edge_iqa.models.degradations.base import Degradation, Image
from edge_iqa.models.degradations.composition import LEVEL_PROBABILITIES, Step, apply_steps, draw_steps
from edge_iqa.models.degradations.registry import (
    CAMERA_GROUPS,
    DEGRADATIONS,
    GROUPS,
    PUBLISHED_GROUPS,
    degrade,
    find_degradation,
)
from edge_iqa.models.degradations.sheet import contact_sheet

__all__ = [
    "CAMERA_GROUPS",
    "DEGRADATIONS",
    "GROUPS",
    "LEVEL_PROBABILITIES",
    "PUBLISHED_GROUPS",
    "Degradation",
    "Image",
    "Step",
    "apply_steps",
    "contact_sheet",
    "degrade",
    "draw_steps",
    "find_degradation",
]
