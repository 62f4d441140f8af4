"""Profiles: complete, sourced, and found by the names that real machines give themselves."""

from __future__ import annotations

import pytest

from edge_iqa.devices.profile import detect_profile, load_profiles, read_profile
from edge_iqa.errors import InvalidInput, UnknownKey

AVX2 = ["avx2"]


def test_every_device_that_is_promised_has_a_profile() -> None:
    names = {profile.name for profile in load_profiles()}
    jetsons = {"jetson-orin-nano", "jetson-orin-nx", "jetson-agx-orin", "jetson-thor", "jetson-xavier-nx"}
    assert jetsons | {"raspberry-pi-4", "raspberry-pi-5", "intel-n100", "x86-avx2"} <= names
    assert len(names) == len(load_profiles())


@pytest.mark.parametrize("profile", load_profiles(), ids=lambda profile: profile.name)
def test_every_number_has_a_public_source_and_rates_are_in_order(profile: object) -> None:
    for processor in profile.processors:  # type: ignore[attr-defined]
        assert processor.source.startswith("https://")
        assert len(processor.basis) > 20
        rates = [rate for rate in (processor.int8_tops, processor.fp16_tops, processor.fp32_tops) if rate is not None]
        assert rates == sorted(rates, reverse=True)
        assert rates
        if processor.fallback is not None:
            assert profile.processor(processor.fallback) is not None  # type: ignore[attr-defined]
    if profile.memory_gb_s is not None:  # type: ignore[attr-defined]
        assert profile.memory_source.startswith("https://")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("board", "cpu", "flags", "name"),
    [
        ("NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super", None, [], "jetson-orin-nano"),
        ("NVIDIA Jetson Orin NX Engineering Reference Developer Kit", None, [], "jetson-orin-nx"),
        ("NVIDIA Jetson AGX Orin Developer Kit", None, [], "jetson-agx-orin"),
        ("NVIDIA Jetson AGX Thor Developer Kit", None, [], "jetson-thor"),
        ("NVIDIA Jetson Xavier NX Developer Kit", None, [], "jetson-xavier-nx"),
        ("Raspberry Pi 4 Model B Rev 1.4", "Cortex-A72", [], "raspberry-pi-4"),
        ("Raspberry Pi Compute Module 4 Rev 1.0", None, [], "raspberry-pi-4"),
        ("Raspberry Pi 5 Model B Rev 1.0", None, ["asimddp"], "raspberry-pi-5"),
        (None, "Intel(R) N100", ["avx2", "avx_vnni"], "intel-n100"),
        (None, "AMD EPYC", AVX2, "x86-avx2"),
        (None, "Intel(R) Core(TM) i7-12700", ["avx2", "avx_vnni"], "x86-avx-vnni"),
        (None, "Intel(R) Xeon(R)", ["avx2", "avx512f", "avx512_vnni"], "x86-avx512"),
        (None, "Intel(R) Core(TM)2", [], None),
        ("NVIDIA Jetson TX2", None, [], None),
        ("Radxa ROCK 5B", None, ["asimddp"], None),
        (None, None, [], None),
    ],
)
def test_detection(board: str | None, cpu: str | None, flags: list[str], name: str | None) -> None:
    found = detect_profile(board, cpu, flags)
    assert (None if found is None else found.name) == name


def test_rates_by_precision() -> None:
    pi = next(profile for profile in load_profiles() if profile.name == "raspberry-pi-4")
    cpu = pi.processor("cpu")
    assert cpu is not None
    assert cpu.tops("fp16") == cpu.fp32_tops  # it has no half-precision arithmetic
    assert pi.processor("gpu") is None


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"cores": 3}, UnknownKey),
        ({"schema_version": 2}, InvalidInput),
        ({"processors": [{"kind": "quantum", "basis": "b", "source": "s"}]}, InvalidInput),
        ({"processors": "none"}, InvalidInput),
    ],
)
def test_a_broken_profile_is_refused(change: dict[str, object], error: type[Exception]) -> None:
    good: dict[str, object] = {
        "schema_version": 1,
        "name": "a",
        "title": "A",
        "processors": [{"kind": "cpu", "basis": "b", "source": "s"}],
    }
    assert read_profile(good, "a.toml").processors[0].kind == "cpu"
    with pytest.raises(error, match=r"a\.toml"):
        read_profile({**good, **change}, "a.toml")
