"""Engines are built once per device and graph, and no file that may have been altered is ever used."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest

from edge_iqa.backends import tensorrt_engine
from edge_iqa.backends.cuda_memory import CudaRuntime
from edge_iqa.backends.engine_cache import CacheMiss, EngineCache, EngineKey, default_folder

from .tensorrt_standins import FakeTensorRt, load

KEY = EngineKey("ab" * 32, "int8", "Orin", "8.7", "10.3.0", "36.4.3")


def test_an_engine_is_built_once(tensorrt: FakeTensorRt, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        load(tmp_path / "c").close()
    assert "none was built on this device yet" in caplog.text
    caplog.clear()
    load(tmp_path / "c").close()
    assert len(tensorrt.builds) == 1
    assert tensorrt.deserialized == [b"engine 1", b"engine 1"]
    assert not caplog.text


def test_timings_serve_the_next_build(tensorrt: FakeTensorRt, tmp_path: Path) -> None:
    load(tmp_path / "c").close()
    load(tmp_path / "c", "fp32").close()
    assert [build["timings"] for build in tensorrt.builds] == [b"", b"timing "]


def test_an_altered_engine_is_never_deserialized(
    tensorrt: FakeTensorRt, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "c"
    load(folder).close()
    (engine,) = folder.glob("*.engine")
    engine.write_bytes(b"engine X")
    tensorrt.deserialized.clear()
    load(folder).close()
    assert tensorrt.deserialized == [b"engine 2"]
    assert f"{engine.name} was altered" in caplog.text
    assert engine.read_bytes() == b"engine 2"


@pytest.mark.parametrize("change", ["version", "release", "gpu", "precision", "graph"])
def test_another_device_or_graph_gets_its_own_engine(
    tensorrt: FakeTensorRt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    folder = tmp_path / "c"
    load(folder).close()
    if change == "version":
        tensorrt.__version__ = "10.4.0"
    elif change == "release":
        monkeypatch.setattr(tensorrt_engine, "l4t_release", lambda: "39.2.0")
    elif change == "gpu":
        monkeypatch.setattr(CudaRuntime, "device_name", lambda self: "Xavier")
    load(folder, "fp32" if change == "precision" else "int8", opset=16 if change == "graph" else 17).close()
    assert len(tensorrt.builds) == 2
    assert len(list(folder.glob("*.engine"))) == 2


def test_the_file_name_depends_on_every_field() -> None:
    changed = [EngineKey(**{**KEY.__dict__, field: "other"}).name for field in KEY.__dict__]
    assert len({KEY.name, *changed}) == len(KEY.__dict__) + 1
    assert EngineKey(**KEY.__dict__).name == KEY.name


@pytest.mark.parametrize("field", list(KEY.__dict__))
def test_a_sidecar_for_another_key_is_named(tmp_path: Path, field: str) -> None:
    cache = EngineCache(tmp_path / "c")
    path = cache.store(KEY, b"engine")
    assert cache.load(KEY) == b"engine"
    sidecar = path.with_name(path.name + ".json")
    document = json.loads(sidecar.read_text())
    document["key"][field] = "elsewhere"
    sidecar.write_text(json.dumps(document))
    found = cache.load(KEY)
    assert isinstance(found, CacheMiss)
    assert f"was built for {field} 'elsewhere'" in found.why


@pytest.mark.parametrize("content", ["", "[]", "{", '{"schema_version": 2}', '{"schema_version": 1}'])
def test_a_broken_sidecar_is_a_miss(tmp_path: Path, content: str) -> None:
    cache = EngineCache(tmp_path / "c")
    path = cache.store(KEY, b"engine")
    path.with_name(path.name + ".json").write_text(content)
    assert isinstance(cache.load(KEY), CacheMiss)


def test_an_engine_without_sidecar_is_a_miss(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path / "c")
    path = cache.store(KEY, b"engine")
    path.with_name(path.name + ".json").unlink()
    assert isinstance(cache.load(KEY), CacheMiss)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="owners and modes are those of POSIX")
def test_what_others_can_write_is_not_used(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path / "c")
    path = cache.store(KEY, b"engine")
    assert path.stat().st_mode & 0o077 == 0
    assert cache.folder.stat().st_mode & 0o077 == 0
    path.chmod(0o666)
    found = cache.load(KEY)
    assert isinstance(found, CacheMiss)
    assert "written by other users" in found.why
    path.chmod(0o600)
    real = path.rename(tmp_path / "real")
    path.symlink_to(real)
    found = cache.load(KEY)
    assert isinstance(found, CacheMiss)
    assert "is a link" in found.why


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="owners and modes are those of POSIX")
def test_what_belongs_to_others_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = EngineCache(tmp_path / "c")
    cache.store(KEY, b"engine")
    other = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: other)
    found = cache.load(KEY)
    assert isinstance(found, CacheMiss)
    assert "belongs to another user" in found.why


def test_storing_leaves_no_other_files(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path / "c")
    path = cache.store(KEY, b"engine")
    cache.store(KEY, b"engine 2")
    assert sorted(item.name for item in cache.folder.iterdir()) == [path.name, f"{path.name}.json"]
    assert cache.load(KEY) == b"engine 2"


def test_a_folder_that_cannot_be_written_costs_a_build_only(
    tensorrt: FakeTensorRt, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    load(blocker / "c").close()
    load(blocker / "c").close()
    assert len(tensorrt.builds) == 2
    assert "it will be built again next time" in caplog.text


def test_the_cache_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "edge-iqa" / "engines"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_folder() == tmp_path / "home" / ".cache" / "edge-iqa" / "engines"
