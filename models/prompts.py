"""Structured prompts: the kinds of damage and their severity in words, for text alignment while training.

The paper (HiRQA, arXiv 2508.15130) says that prompts are structured by distortion and severity; the words are ours.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge_iqa.models.degradations import Step, find_degradation

SEVERITIES = ("faint", "slight", "moderate", "strong", "extreme")
UNDISTORTED = "a flawless photo"


def damage_in_words(step: Step) -> str:
    """Return one step in words, e.g. ``strong camera noise``."""
    kind = find_degradation(step.name).description.split(",")[0]
    return f"{SEVERITIES[step.level - 1]} {kind}"


def structured_prompt(steps: Sequence[Step]) -> str:
    """Return the prompt of a picture, e.g. ``a photo with slight fog and strong camera noise``."""
    words = [damage_in_words(step) for step in steps if step.level > 0]
    return f"a photo with {' and '.join(words)}" if words else UNDISTORTED
