"""The loop decides every frame that can be decided, and says what became of each of the others."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest
from loop_runs import KEEP_ALL, SETTINGS, Remember, SharpnessScorer, assert_balanced, make_run, run_to_end

from edge_iqa.camera.frame import Frame
from edge_iqa.camera.policy import Decision
from edge_iqa.camera.policy_spec import Policy, load_policy
from edge_iqa.camera.sink_queue import SinkQueue
from edge_iqa.camera.sinks import Sink
from edge_iqa.errors import BackendMismatch, CameraRefused

FILE = "test:160x120@30,live=0"


def test_every_frame_of_a_file_is_decided_in_order_on_the_files_clock() -> None:
    run = run_to_end(f"{FILE},frames=40")
    assert [decision.frame for decision in run.sink.decisions] == list(range(40))
    assert [decision.time_s for decision in run.sink.decisions] == pytest.approx([n / 30 for n in range(40)], abs=1e-5)
    assert run.status.kept == run.status.frames_in == 40
    assert run.status.state == "ended"


def test_a_slow_scorer_loses_nothing_of_a_file() -> None:
    class Slow(SharpnessScorer):
        def __call__(self, pixels):  # type: ignore[no-untyped-def]
            time.sleep(0.01)
            return super().__call__(pixels)

    run = run_to_end(f"{FILE},frames=20", scorer=Slow())
    assert [decision.frame for decision in run.sink.decisions] == list(range(20))


def test_a_slow_machine_decides_on_a_file_as_a_quick_one() -> None:
    class Slow(SharpnessScorer):
        def __call__(self, pixels):  # type: ignore[no-untyped-def]
            time.sleep(0.02)
            return super().__call__(pixels)

    run = run_to_end(f"{FILE},frames=10", Policy(1, "young frames", threshold=0.0, max_age_ms=5.0), Slow())
    assert run.status.kept == 10
    run = run_to_end("test:96x64@20,frames=10", Policy(1, "young frames", threshold=0.0, max_age_ms=5.0), Slow())
    assert run.reasons() == {"stale": len(run.sink.decisions)}


def test_a_camera_drops_only_what_a_newer_frame_replaced() -> None:
    class Slow(SharpnessScorer):
        def __call__(self, pixels):  # type: ignore[no-untyped-def]
            time.sleep(0.08)
            return super().__call__(pixels)

    run = run_to_end("test:160x120@100,frames=60", scorer=Slow())
    assert set(run.status.dropped) == {"superseded"}
    assert run.status.frames_in == 60
    numbers = [decision.frame for decision in run.sink.decisions]
    assert numbers == sorted(numbers)
    assert numbers[-1] == 59  # the newest frame is the one that is looked at


def test_sharp_frames_are_kept_and_blurred_ones_dropped() -> None:
    scorer = SharpnessScorer()
    run = run_to_end(f"{FILE},frames=60", Policy(1, "sharp", threshold=0.15), scorer)
    kept = [decision.frame for decision in run.sink.decisions if decision.keep]
    assert kept == list(range(30))  # the pattern is sharp for 30 frames, then blurred
    assert run.status.dropped == {"below_threshold": 30}


def test_a_frame_decided_late_comes_with_its_own_pixels() -> None:
    best = Policy(1, "best of a second", threshold=0.0, best_of_s=1.0)
    each = run_to_end(f"{FILE},frames=90")
    means = {decision.frame: mean for decision, mean in zip(each.sink.decisions, each.sink.means, strict=True)}
    run = run_to_end(f"{FILE},frames=90", best)
    kept = [(d.frame, m) for d, m in zip(run.sink.decisions, run.sink.means, strict=True) if d.keep]
    assert len(kept) == 3
    assert all(mean == means[frame] for frame, mean in kept)
    assert len(run.sink.decisions) == 90
    assert run.reasons()["best_of_window"] == 3


def test_the_policy_can_be_exchanged_while_the_loop_runs() -> None:
    run = make_run("test:96x64@200", settings=replace(SETTINGS, max_frames=None))
    thread = run.start()
    _wait_until(lambda: run.status.kept > 3)
    run.loop.set_policy(Policy(1, "none", threshold=1.0))
    _wait_until(lambda: run.status.dropped.get("below_threshold", 0) > 3)
    assert run.status.threshold == 1.0
    run.loop.stop()
    thread.join(5)
    assert not thread.is_alive()
    keeps = [decision.keep for decision in run.sink.decisions]
    assert keeps == sorted(keeps, reverse=True)  # all kept ones, then only dropped ones
    assert_balanced(run)


@pytest.mark.parametrize("preset", ["slam", "inspection", "archive", "surveillance", "dataset"])
def test_presets_run_through_faults_with_balanced_books(preset: str) -> None:
    faults = "black@10-12/half@15-16/broken@20-22/resize@25-27/back@30/forth@40/gone@45-46/slow@50"
    run = run_to_end(f"test:96x64@200,frames=90,slow=0.01,faults={faults}", load_policy(preset))
    assert run.status.frames_in == 90
    assert run.status.reconnects == 1


def test_max_frames_ends_the_run() -> None:
    run = run_to_end(FILE, settings=replace(SETTINGS, max_frames=7))
    assert run.status.frames_in == len(run.sink.decisions) == 7
    run = run_to_end("test:96x64@200", settings=replace(SETTINGS, max_frames=7))
    assert len(run.sink.decisions) == 7


def test_stop_finishes_and_flushes() -> None:
    best = Policy(1, "held for long", threshold=0.0, best_of_s=1000.0)
    run = make_run("test:96x64@100", best)
    thread = run.start()
    _wait_until(lambda: run.status.frames_in > 5)
    run.loop.stop()
    thread.join(5)
    assert not thread.is_alive()
    assert run.error is None
    assert run.status.kept == 1  # the held frame was decided at the end
    assert_balanced(run)


def test_frames_the_model_fails_on_are_not_kept_and_counted() -> None:
    script = {3: RuntimeError("out of memory"), 5: float("nan"), 6: float("inf"), 8: BackendMismatch("no score")}
    run = run_to_end(f"{FILE},frames=12", scorer=SharpnessScorer(script))
    dropped = [decision.frame for decision in run.sink.decisions if not decision.keep]
    assert dropped == [3, 5, 6, 8]
    assert run.status.dropped == {"no_score": 4}
    assert run.status.errors == {"RuntimeError": 1, "E510": 3}
    assert all(decision.score is None for decision in run.sink.decisions if not decision.keep)


def test_a_model_that_only_fails_ends_the_loop() -> None:
    always = {index: RuntimeError("broken for good") for index in range(100)}
    run = make_run(FILE, scorer=SharpnessScorer(always), settings=replace(SETTINGS, max_failures=5))
    with pytest.raises(BackendMismatch, match="5 frames in a row"):
        run.loop.run()
    assert run.status.state == "failed"
    assert run.status.dropped["no_score"] == 5
    assert_balanced(run)


class BrokenSink(Sink):
    name = "broken sink"

    def handle(self, frame: Frame, decision: Decision) -> None:
        raise OSError("no space")

    def close(self) -> None:
        raise OSError("still no space")


class StuckSink(Sink):
    name = "stuck sink"

    def __init__(self) -> None:
        self.release = threading.Event()

    def handle(self, frame: Frame, decision: Decision) -> None:
        self.release.wait(10)


def test_a_sink_that_fails_loses_its_frames_and_no_one_elses() -> None:
    run = run_to_end(f"{FILE},frames=10", sinks=(BrokenSink(),))
    assert len(run.sink.decisions) == 10
    assert run.status.sink_lost == {"broken sink": 11}  # ten frames and its end
    assert len([text for text in run.messages if "broken sink" in text]) == 1


def test_a_sink_that_hangs_does_not_hold_up_the_loop() -> None:
    stuck = StuckSink()
    queue = SinkQueue(stuck, size=2, wait_s=0.0)
    run = make_run(f"{FILE},frames=30", sinks=(queue,))
    thread = run.start()
    _wait_until(lambda: len(run.sink.decisions) == 30)
    lost = queue.lost_total
    stuck.release.set()
    thread.join(10)
    assert not thread.is_alive()
    assert lost >= 27  # two waited, one was being handled
    assert run.status.sink_lost == {"stuck sink": queue.lost_total}
    assert_balanced(run)


def test_a_source_that_never_opens_raises_its_error() -> None:
    run = make_run("test:96x64@30,faults=refused@0-3")
    run.loop.capture.source.close()

    def refuse() -> None:
        raise CameraRefused("nothing answers")

    run.loop.capture.source.open = refuse  # type: ignore[method-assign]
    with pytest.raises(CameraRefused):
        run.loop.run()
    assert run.status.state == "failed"
    assert run.status.errors == {"E252": 1}
    assert run.sink.closed


def test_the_cpu_budget_skips_frames_of_a_camera_and_slows_a_file_down() -> None:
    class Busy(SharpnessScorer):
        def __call__(self, pixels):  # type: ignore[no-untyped-def]
            end = time.thread_time() + 0.02
            while time.thread_time() < end:
                pass
            return super().__call__(pixels)

    run = run_to_end("test:96x64@50,frames=60", scorer=Busy(), settings=replace(SETTINGS, max_cpu=0.01))
    assert run.status.dropped["cpu_budget"] > len(run.sink.decisions)
    tight = replace(SETTINGS, max_cpu=0.2)
    started, used = time.monotonic(), time.process_time()
    run = run_to_end(f"{FILE},frames=20", scorer=Busy(), settings=tight)
    share = (time.process_time() - used) / (time.monotonic() - started)
    assert len(run.sink.decisions) == 20
    assert share < 0.4


def test_the_status_can_be_read_at_any_time_and_always_adds_up() -> None:
    run = make_run("test:96x64@300,frames=150", Policy(1, "best", threshold=0.0, best_of_s=0.05))
    thread = run.start()
    while thread.is_alive():
        status = run.status
        held = status.undecided + status.pending
        assert status.frames_in == status.kept + sum(status.dropped.values()) + held
    assert run.error is None


def test_remembering_sinks_see_every_decision_of_the_policy() -> None:
    second = Remember()
    run = run_to_end(f"{FILE},frames=10", KEEP_ALL, sinks=(second,))
    assert second.decisions == run.sink.decisions


def _wait_until(condition, timeout_s: float = 20.0) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)
