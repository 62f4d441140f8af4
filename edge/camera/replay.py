"""Decide again on recorded scores, without pictures: the same policy gives the same decisions, another one others."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from edge_iqa.camera.policy import (
    DROP_REASONS,
    KEEP_REASONS,
    Decision,
    Observation,
    finish,
    initial_state,
    step,
)
from edge_iqa.camera.policy_spec import Policy
from edge_iqa.errors import InvalidInput, RecordedScoresError

_MAX_LINE_BYTES = 4096
_MAX_LINES = 20_000_000


@dataclass(frozen=True, slots=True)
class Recorded:
    """One line of scores.jsonl; ``observed`` is False for a frame that the policy never saw, lost before it."""

    observation: Observation
    keep: bool
    reason: str
    observed: bool


@dataclass(frozen=True)
class ReplaySummary:
    """What a replay gave; ``changed`` counts the frames that were decided otherwise when they were recorded."""

    frames: int
    kept: int
    reasons: dict[str, int]
    changed: int

    @property
    def kept_share(self) -> float:
        return self.kept / self.frames if self.frames else 0.0


def read_scores(path: Path) -> list[Recorded]:
    """Read a scores.jsonl in the order of its frames; raises RecordedScoresError.

    A last line that was cut off, as by a kill, is left out.
    """
    recorded: list[Recorded] = []
    try:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(_MAX_LINE_BYTES), b""), start=1):
                if not line.endswith(b"\n") and not file.read(1):
                    break
                if number > _MAX_LINES:
                    raise RecordedScoresError(f"{path} has more than {_MAX_LINES} lines")
                recorded.append(_read_line(line, f"{path}, line {number}"))
    except OSError as error:
        raise RecordedScoresError(f"{path} cannot be read", why=error.strerror or str(error)) from error
    if not recorded:
        raise RecordedScoresError(f"{path} holds no scores")
    recorded.sort(key=lambda item: item.observation.frame)
    for earlier, later in pairwise(recorded):
        if earlier.observation.frame == later.observation.frame:
            raise RecordedScoresError(
                f"{path} has frame {later.observation.frame} twice", why="a file must hold one run only"
            )
    return recorded


def replay(policy: Policy, recorded: Iterable[Recorded]) -> list[Decision]:
    """Return the decisions of ``policy`` in the order in which a live run makes them.

    Frames that the policy never saw keep their recorded reason.
    """
    state = initial_state(policy)
    decisions: list[Decision] = []
    for item in recorded:
        if item.observed:
            state, decided = step(policy, state, item.observation)
            decisions += decided
        else:
            decisions.append(_unseen(item))
    return decisions + list(finish(policy, state))


def summarize(recorded: Sequence[Recorded], decisions: Sequence[Decision]) -> ReplaySummary:
    """Compare a replay with what was recorded."""
    before = {item.observation.frame: item.keep for item in recorded}
    return ReplaySummary(
        frames=len(decisions),
        kept=sum(decision.keep for decision in decisions),
        reasons=dict(Counter(decision.reason for decision in decisions)),
        changed=sum(before[decision.frame] != decision.keep for decision in decisions),
    )


def _read_line(line: bytes, where: str) -> Recorded:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RecordedScoresError(f"{where} is not JSON", why=str(error)) from error
    if not isinstance(document, dict):
        raise RecordedScoresError(f"{where} is not a JSON object")
    score = None if document.get("score") is None else _number(document, "score", where)
    keep, reason = document.get("decision"), document.get("reason")
    if keep not in ("keep", "drop") or not isinstance(reason, str):
        raise RecordedScoresError(f"{where}: decision must be keep or drop, and reason a text")
    frame = document.get("frame")
    if not isinstance(frame, int) or isinstance(frame, bool):
        raise RecordedScoresError(f"{where}: frame must be a whole number", why=f"it is {frame!r}")
    try:
        observation = Observation(
            frame=frame,
            score=score,
            time_s=_number(document, "time_s", where),
            age_ms=_number(document, "age_ms", where),
            scene_changed=document.get("scene_changed") is True,
        )
    except InvalidInput as error:
        raise RecordedScoresError(f"{where}: {error.what}", why=error.why) from error
    return Recorded(observation, keep == "keep", reason, score is not None or reason in KEEP_REASONS + DROP_REASONS)


def _number(document: dict[str, Any], key: str, where: str) -> float:
    value = document.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise RecordedScoresError(f"{where}: {key} must be a number", why=f"it is {value!r}")
    return float(value)


def _unseen(item: Recorded) -> Decision:
    seen = item.observation
    return Decision(seen.frame, item.keep, item.reason, seen.score, None, seen.time_s, seen.age_ms, seen.scene_changed)
