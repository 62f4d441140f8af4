"""From a frame to decisions: is it a picture, how good is it, and what does the policy say."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from edge_iqa.camera import policy as policies
from edge_iqa.camera.frame import Frame
from edge_iqa.camera.health import HealthCheck
from edge_iqa.camera.ledger import FROZEN
from edge_iqa.camera.policy import Decision, Observation
from edge_iqa.camera.policy_spec import Policy
from edge_iqa.camera.scene_change import SceneChangeDetector
from edge_iqa.camera.source import Pixels
from edge_iqa.errors import BackendMismatch, EdgeIqaError


class ScoreLike(Protocol):
    @property
    def value(self) -> float: ...


ScoreFunction = Callable[[Pixels], ScoreLike]


@dataclass(frozen=True)
class Settled:
    """A frame with the decision on it."""

    frame: Frame
    decision: Decision


class Judge:
    """Scores frames and asks the policy; holds the pixels of the frame that the policy has not decided yet.

    A picture that is none (black, frozen, half_frame) is dropped here for that reason and never shown to the policy,
    so that it cannot fill a gap. A frame on which the model failed, or gave a number that is none, is shown without a
    score: ``errors`` counts the causes, the policy decides.
    """

    def __init__(self, scorer: ScoreFunction, policy: Policy, health: HealthCheck, max_failures: int) -> None:
        self.errors: Counter[str] = Counter()  # code → frames without a score
        self.last_error: str | None = None
        self.failure: BackendMismatch | None = None  # the model is broken for good: the loop should end
        self.reopen_due = False  # the picture has been frozen for long
        self._scorer = scorer
        self._policy = policy
        self._state = policies.initial_state(policy)
        self._scenes = _detector(policy)
        self._health = health
        self._max_failures = max_failures
        self._failures_in_a_row = 0
        self._held: dict[int, Frame] = {}

    @property
    def threshold(self) -> float:
        """The score that the next frame has to reach."""
        return policies.current_threshold(self._policy, self._state)

    @property
    def held(self) -> int:
        """How many frames are not decided: 0 or 1."""
        return len(self._held)

    def set_policy(self, policy: Policy) -> None:
        """Go on with another policy, or the same, from the next frame; what was learned is kept."""
        if policy.scene_change != self._policy.scene_change:
            self._scenes = _detector(policy)
        self._policy = policy

    def judge(self, frame: Frame) -> list[Settled]:
        """Return what is now decided, on this frame or the held one; then ``failure`` and ``reopen_due`` may be set."""
        cause = self._health.fault(frame.pixels, frame.captured_s)
        self.reopen_due = cause == FROZEN and self._health.reopen_due(frame.captured_s)
        if cause is not None:
            return [Settled(frame, self._without_policy(frame, cause))]
        changed = self._scenes is not None and self._scenes.changed(frame.pixels)
        score = self._score(frame.pixels)
        seen = Observation(frame.number, score, frame.time_s, self._age_ms(frame), scene_changed=changed)
        self._held[frame.number] = frame
        self._state, decisions = policies.step(self._policy, self._state, seen)
        return [self._settle(decision) for decision in decisions]

    def finish(self) -> list[Settled]:
        """Return the decision on the held frame, if there is one."""
        return [self._settle(decision) for decision in policies.finish(self._policy, self._state)]

    def _settle(self, decision: Decision) -> Settled:
        return Settled(self._held.pop(decision.frame), decision)

    def _score(self, pixels: Pixels) -> float | None:
        """Return the score, None where there is none."""
        try:
            value = float(self._scorer(pixels).value)
        except Exception as error:
            self._note_failure(error)
            return None
        if not math.isfinite(value):
            self._note_failure(BackendMismatch("The model gave a score that is no number", why=str(value)))
            return None
        self._failures_in_a_row = 0
        return value

    def _without_policy(self, frame: Frame, cause: str) -> Decision:
        return Decision(frame.number, False, cause, None, None, round(frame.time_s, 6), round(self._age_ms(frame), 3))

    def _age_ms(self, frame: Frame) -> float:
        """Return the frame's age; 0 where the source waits, as in a file, so that a slow machine decides alike."""
        return max(0.0, (time.monotonic() - frame.captured_s) * 1e3) if self._health.live else 0.0

    def _note_failure(self, error: Exception) -> None:
        self._failures_in_a_row += 1
        code = error.code if isinstance(error, EdgeIqaError) else type(error).__name__
        self.errors[code] += 1
        message = " ".join((error.what if isinstance(error, EdgeIqaError) else str(error)).split())
        self.last_error = f"{code}: {message[:300]}"
        if self._failures_in_a_row >= self._max_failures:
            self.failure = BackendMismatch(
                f"The model failed on {self._failures_in_a_row} frames in a row",
                why=self.last_error,
                fix="start again; if it stays, try another --backend",
            )


def _detector(policy: Policy) -> SceneChangeDetector | None:
    return None if policy.scene_change is None else SceneChangeDetector(policy.scene_change)
