"""Faults of cameras, injected by script: nothing is decided wrongly, nothing is lost without a count."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loop_runs import SETTINGS, InStep, Run, SharpnessScorer, make_run, run_to_end

from edge_iqa.camera.faults import FAULTS, Fault, parse_faults
from edge_iqa.camera.health import HealthSpec
from edge_iqa.camera.loop import LoopSettings
from edge_iqa.camera.policy_spec import Policy
from edge_iqa.camera.source_test import TestSource, TestSpec
from edge_iqa.errors import CameraError, CameraGone, CameraUnauthorised

PATIENT = replace(SETTINGS, health=HealthSpec(frozen_after_s=60.0))


def run_camera(faults: str, frames: int = 60, settings: LoopSettings = PATIENT, fps: float = 0) -> Run:
    """Run a live source of which every frame is looked at; frame numbers are those of the script."""
    spec = TestSpec(96, 64, fps=fps, frames=frames, slow_s=0.02, faults=parse_faults(faults))
    return run_to_end(InStep(spec), settings=settings)


def reasons_by_frame(run: Run) -> dict[int, str]:
    return {decision.frame: decision.reason for decision in run.sink.decisions}


@pytest.mark.parametrize(("fault", "reason"), [("black", "black"), ("half", "half_frame")])
def test_a_picture_that_is_none_is_dropped_for_that_and_only_where_it_is(fault: str, reason: str) -> None:
    run = run_camera(f"{fault}@20-39")
    found = reasons_by_frame(run)
    assert {frame for frame, each in found.items() if each == reason} == set(range(20, 40))
    assert all(d.score is None and not d.keep for d in run.sink.decisions if d.reason == reason)
    assert set(found.values()) == {"good", reason}


def test_a_black_picture_does_not_fill_a_gap() -> None:
    """A policy that must never starve, and may take frames without a score, still takes no black one."""
    hungry = Policy(1, "hungry", threshold=1.0, max_gap_s=0.0, unscored_may_fill_gap=True)
    broken = SharpnessScorer({3: RuntimeError("no score")})
    run = run_to_end("test:96x64@30,live=0,frames=30,faults=black@10-19", hungry, broken)
    found = reasons_by_frame(run)
    assert {frame for frame, reason in found.items() if reason == "black"} == set(range(10, 20))
    assert found[3] == "never_starve"
    assert run.status.kept == 20


def test_broken_frames_are_counted_and_the_others_decided() -> None:
    run = run_to_end("test:96x64@30,live=0,frames=30,faults=broken@5-9/broken@29")
    assert run.status.dropped == {"broken": 6}
    assert set(reasons_by_frame(run)) == set(range(30)) - {5, 6, 7, 8, 9, 29}


def test_a_frozen_camera_is_noticed_opened_anew_and_trusted_again() -> None:
    run = run_camera("frozen@20-140", frames=160, settings=SETTINGS, fps=100)
    found = reasons_by_frame(run)
    frozen = {frame for frame, reason in found.items() if reason == "frozen"}
    assert frozen
    assert min(frozen) > 20  # a while of the same picture is needed
    assert frozen == {frame for frame in found if min(frozen) <= frame <= 140}
    assert run.status.errors["E256"] >= 1
    assert run.status.reconnects >= 1
    assert any("frozen" in message for message in run.messages)


def test_a_still_picture_in_a_file_is_no_fault() -> None:
    run = run_to_end("test:96x64@30,live=0,frames=60,faults=frozen@5-59/half@0-4")
    assert run.status.kept == 60


def test_a_change_of_size_is_told_and_survived() -> None:
    run = run_camera("resize@20-39")
    shapes = dict(zip((d.frame for d in run.sink.decisions), run.sink.shapes, strict=True))
    assert all(shape == ((32, 48, 3) if 20 <= frame < 40 else (64, 96, 3)) for frame, shape in shapes.items())
    assert len([text for text in run.messages if "size changed" in text]) == 2
    assert run.status.width == 96


@pytest.mark.parametrize("fault", ["back@20", "forth@20", "back@20/forth@30/back@40"])
def test_a_clock_that_jumps_moves_no_decision(fault: str) -> None:
    run = run_camera(fault)
    times = [decision.time_s for decision in run.sink.decisions]
    assert times == sorted(times)
    assert times[-1] < 30  # an hour is in the script
    assert run.loop.capture.clock_jumps == fault.count("@")


def test_a_camera_that_goes_comes_back_by_itself() -> None:
    run = run_camera("gone@20-23/gone@40")
    assert run.status.reconnects == 2
    assert run.status.errors == {"E258": 2, "E252": 3}
    assert run.status.frames_in == 60
    assert len([text for text in run.messages if "is back after" in text]) == 2
    assert len([text for text in run.messages if "trying again in" in text]) == 5


@pytest.mark.parametrize(
    ("fault", "code"),
    [("refused", "E252"), ("unauthorised", "E253"), ("notfound", "E251"), ("nodns", "E254"), ("codec", "E255")],
)
def test_every_way_to_fail_on_the_way_back_has_its_code(fault: str, code: str) -> None:
    run = run_camera(f"{fault}@10-12", frames=20)
    assert run.status.errors == {"E258": 1, code: 2}
    assert run.status.frames_in == 20


def test_a_stalled_camera_is_opened_anew() -> None:
    run = run_camera("stall@10", frames=20)
    assert run.status.errors == {"E256": 1}
    assert run.status.reconnects == 1


def test_a_camera_that_stays_away_is_given_up_when_asked() -> None:
    run = make_run("test:96x64@200,faults=gone@10-100000", settings=replace(SETTINGS, give_up_s=0.3))
    with pytest.raises(CameraError) as caught:
        run.loop.run()
    assert caught.value.code == "E252"
    assert run.status.state == "failed"
    assert run.status.frames_in == 10


def test_an_error_of_a_file_ends_it_after_what_was_read() -> None:
    run = make_run("test:96x64@200,live=0,frames=20,faults=gone@10")
    with pytest.raises(CameraGone):
        run.loop.run()
    assert run.status.frames_in == len(run.sink.decisions) == 10
    assert run.sink.closed


def test_a_refused_login_is_not_tried_again_quickly() -> None:
    slow = replace(SETTINGS.backoff, longest_s=30.0)
    run = make_run("test:96x64@200,frames=20,faults=unauthorised@10-11", settings=replace(SETTINGS, backoff=slow))
    thread = run.start()
    thread.join(2)
    assert thread.is_alive()
    assert any("not open" in message and "trying again in" in message for message in run.messages)
    run.loop.stop()
    thread.join(5)
    assert not thread.is_alive()
    assert run.status.errors[CameraUnauthorised.code] == 1


def test_a_decoders_own_exception_ends_the_run_with_a_message() -> None:
    class Bad(TestSource):
        def grab(self):  # type: ignore[no-untyped-def]
            raise MemoryError("at rtsp://user:secret@host/x")

    run = make_run(Bad(TestSpec(96, 64), "camera"))
    with pytest.raises(CameraError, match="camera has failed") as caught:
        run.loop.run()
    assert "secret" not in str(caught.value)
    assert "MemoryError" in str(caught.value)


CONNECTIONS = ("gone", "stall", "refused", "unauthorised", "notfound", "nodns", "codec")
anything = st.lists(
    st.builds(
        lambda kind, first, length: Fault(kind, first, first + (length % 3 if kind in CONNECTIONS else length)),
        st.sampled_from(FAULTS),
        st.integers(0, 50),
        st.integers(0, 20),
    ),
    max_size=6,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(faults=anything, scores=st.dictionaries(st.integers(0, 50), st.sampled_from([float("nan"), -5.0, 7.0])))
def test_whatever_happens_the_books_balance(faults: list[Fault], scores: dict[int, float]) -> None:
    spec = TestSpec(64, 48, fps=0, frames=50, slow_s=0.0, faults=tuple(faults))
    run = run_to_end(TestSource(spec, "camera"), Policy(1, "half", threshold=0.1), SharpnessScorer(scores))
    assert run.status.frames_in == 50
    for decision in run.sink.decisions:
        assert decision.keep == (decision.score is not None and decision.score >= 0.1)
