"""The camera loop: take the newest frame, judge it, hand it on, and keep the books."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edge_iqa.camera.backoff import BackoffSpec
from edge_iqa.camera.capture import Capture
from edge_iqa.camera.cpu_budget import CpuBudget
from edge_iqa.camera.frame import Frame
from edge_iqa.camera.health import HealthCheck, HealthSpec
from edge_iqa.camera.judge import Judge, ScoreFunction, Settled
from edge_iqa.camera.ledger import BROKEN, CPU_BUDGET, FROZEN, STOPPED, Ledger
from edge_iqa.camera.notify import ServiceNotifier
from edge_iqa.camera.policy import NO_SCORE
from edge_iqa.camera.policy_spec import Policy
from edge_iqa.camera.rate import RateMeter
from edge_iqa.camera.sinks import Sink
from edge_iqa.camera.slot import NumberedGrab
from edge_iqa.camera.source import Pixels, Source
from edge_iqa.camera.status import LoopStatus
from edge_iqa.errors import EdgeIqaError

_POLL_S = 0.2  # how long the loop may take to see that it should stop
_NO_SIGN_OF_LIFE = frozenset({FROZEN, NO_SCORE})


@dataclass(frozen=True)
class LoopSettings:
    """How the loop runs. ``max_cpu`` is a share of one core; ``max_frames`` counts frames that were looked at."""

    max_frames: int | None = None
    max_cpu: float | None = None
    give_up_s: float | None = None
    max_failures: int = 50
    health: HealthSpec = field(default_factory=HealthSpec)
    backoff: BackoffSpec = field(default_factory=BackoffSpec)


class CameraLoop:
    """Runs one source through one scorer and policy into sinks.

    ``run`` blocks in the calling thread, which also scores. ``stop``, ``set_policy`` and ``status`` may be used from
    any thread, ``stop`` also from a signal handler. Sinks are expected to be quick, as a SinkQueue is; what one
    raises is counted and the loop goes on.
    """

    def __init__(
        self,
        source: Source,
        scorer: ScoreFunction,
        policy: Policy,
        sinks: Sequence[Sink] = (),
        settings: LoopSettings | None = None,
        report: Callable[[str], None] = lambda text: None,
        notifier: ServiceNotifier | None = None,
    ) -> None:
        self.settings = settings or LoopSettings()
        self.ledger = Ledger()
        self.capture = Capture(
            source, self.ledger, report, self.settings.backoff, self.settings.give_up_s, self.settings.max_frames
        )
        self._scorer = scorer
        self._policy = policy
        self._sinks = list(sinks)
        self._report = report
        self._notifier = notifier or ServiceNotifier()
        self._judge: Judge | None = None
        self._stop_asked = False
        self._looked_at = 0
        self._decided_rate = RateMeter()
        self._sink_errors: Counter[str] = Counter()
        self._last: Settled | None = None
        self._size: tuple[int, int] | None = None
        self._started_s = time.monotonic()
        self._ended = self._failed = False
        self._status = self._make_status()

    @property
    def status(self) -> LoopStatus:
        """What was published last; another thread sees a consistent whole."""
        return self._status

    def stop(self) -> None:
        """Ask the loop to finish its frame, write everything out and return."""
        self._stop_asked = True

    def add_sink(self, sink: Sink) -> None:
        """Add a sink before ``run``, such as one that itself needs the loop."""
        self._sinks.append(sink)

    @property
    def policy(self) -> Policy:
        """The policy of the next frame."""
        return self._policy

    def set_policy(self, policy: Policy) -> None:
        """Use another policy from the next frame on; what was learned of the stream is kept."""
        self._policy = policy

    def run(self) -> LoopStatus:
        """Run until the source ends, ``stop`` or ``max_frames``; return the last status.

        Raises CameraError where the source cannot be opened, or failed for good, and BackendMismatch where the model
        fails again and again; whatever happens, sinks are closed and the books are balanced first.
        """
        self._started_s = time.monotonic()
        self.capture.start()
        try:
            self._wait_for_source()
            self._look_at_frames()
        except BaseException:
            self._failed = True
            raise
        finally:
            self._failed |= self.capture.error is not None and not self._stop_asked
            self._end()
        if self.capture.error is not None and not self._stop_asked:
            raise self.capture.error
        return self._status

    def _wait_for_source(self) -> None:
        while not self._stop_asked and not self.capture.opened.wait(_POLL_S):
            pass
        live = self.capture.source.live
        self._judge = Judge(
            self._scorer, self._policy, HealthCheck(self.settings.health, live), self.settings.max_failures
        )
        if self.capture.error is None and not self._stop_asked:
            self._notifier.ready()
            self._notifier.status(f"watching {self.capture.source.name}")

    def _look_at_frames(self) -> None:
        share = self.settings.max_cpu
        budget = None if share is None else CpuBudget(share)
        while not self._stop_asked:
            taken = self.capture.slot.take(_POLL_S)
            if taken is not None and (budget is None or self._within(budget)):
                self._look_at(taken)
                self._looked_at += 1
                if self._looked_at == self.settings.max_frames:
                    return
            elif taken is not None:
                self.ledger.discarded(CPU_BUDGET)
            elif self.capture.slot.done:
                return
            self._status = self._make_status()

    def _within(self, budget: CpuBudget) -> bool:
        """Return whether the frame may be looked at; a source that waits is made to wait instead of losing it."""
        if self.capture.source.live:
            return budget.allows()
        while not self._stop_asked and (wait_s := budget.wait_s()) > 0:
            time.sleep(min(wait_s, _POLL_S))
        return True

    def _look_at(self, taken: NumberedGrab) -> None:
        judge = self._judge
        assert judge is not None
        judge.set_policy(self._policy)
        pixels = _read(taken)
        if pixels is None:
            self.ledger.discarded(BROKEN)
            return
        self._notice_size(pixels)
        self.ledger.observed()
        for settled in judge.judge(Frame(taken.number, pixels, taken.grab.captured_s, taken.time_s)):
            self._hand_on(settled)
        if judge.failure is not None:
            raise judge.failure
        if judge.reopen_due:
            self.capture.reopen("its picture is frozen")

    def _hand_on(self, settled: Settled) -> None:
        decision = settled.decision
        self.ledger.decided(decision.keep, decision.reason)
        self._decided_rate.add(time.monotonic())
        self._last = settled
        for sink in self._sinks:
            try:
                if sink.wants(decision):
                    sink.handle(settled.frame, decision)
            except Exception as error:
                self._lose_in(sink, error)
        if decision.reason not in _NO_SIGN_OF_LIFE:
            self._notifier.alive()

    def _lose_in(self, sink: Sink, error: Exception) -> None:
        self._sink_errors[sink.name] += 1
        if self._sink_errors[sink.name] == 1:
            self._report(f"{sink.name}: {type(error).__name__}: {error}; the loop goes on, what is lost is counted")

    def _notice_size(self, pixels: Pixels) -> None:
        size = (int(pixels.shape[1]), int(pixels.shape[0]))
        if self._size is not None and size != self._size:
            self._report(f"the picture's size changed from {self._size[0]}x{self._size[1]} to {size[0]}x{size[1]}")
        self._size = size

    def _end(self) -> None:
        self._notifier.stopping()
        self.capture.stop()
        while (left := self.capture.slot.take(0)) is not None:
            self.ledger.discarded(STOPPED)
            del left
        if self._judge is not None:
            for settled in self._judge.finish():
                self._hand_on(settled)
        for sink in self._sinks:
            try:
                sink.close()
            except Exception as error:
                self._lose_in(sink, error)
        self._ended = True
        self._status = self._make_status()

    def _make_status(self) -> LoopStatus:
        now, counts, judge = time.monotonic(), self.ledger.counts(), self._judge
        capture, last = self.capture, self._last
        engine = Counter[str]() if judge is None else judge.errors
        losses = {sink.name: self._sink_errors[sink.name] + getattr(sink, "lost_total", 0) for sink in self._sinks}
        decision = None if last is None else last.decision
        return LoopStatus(
            state=self._state(),
            source=capture.source.name,
            frames_in=counts.frames_in,
            kept=counts.kept,
            dropped=counts.dropped,
            undecided=counts.undecided,
            pending=counts.pending,
            fps=capture.rate.per_second(now),
            decided_fps=self._decided_rate.per_second(now),
            last_frame=None if decision is None else decision.frame,
            last_score=None if decision is None else decision.score,
            last_decision=None if decision is None else "keep" if decision.keep else "drop",
            last_reason=None if decision is None else decision.reason,
            threshold=None if judge is None else judge.threshold,
            age_ms=None if decision is None else decision.age_ms,
            width=None if self._size is None else self._size[0],
            height=None if self._size is None else self._size[1],
            reconnects=capture.reconnects,
            errors=dict(capture.errors + engine),
            last_error=capture.last_error or (None if judge is None else judge.last_error),
            sink_lost={name: lost for name, lost in losses.items() if lost},
            uptime_s=now - self._started_s,
        )

    def _state(self) -> str:
        if self._ended:
            return "failed" if self._failed else "ended"
        if self._stop_asked or self.capture.state in {"ended", "failed"}:
            return "stopping"
        return self.capture.state


def _read(taken: NumberedGrab) -> Pixels | None:
    """Return the frame's pixels, or None where it cannot be decoded, whatever the decoder raises."""
    try:
        return taken.grab.read()
    except EdgeIqaError:
        return None
    except Exception:  # a decoder's own errors; one damaged frame is no reason to end
        return None
