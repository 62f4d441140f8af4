"""What a path may lead to: files, links, folders, pipes, nothing, names that are not text."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_iqa.decode import read_image
from edge_iqa.errors import ImageNotFound, ImageUnreadable

from .picture_files import encoded, scene

pytestmark = pytest.mark.usefixtures("nothing_on_stderr")


def test_missing_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for path in (tmp_path / "no.jpg", tmp_path / "file" / "inside.jpg", tmp_path / "dangling", "a\0b.jpg"):
        with pytest.raises(ImageNotFound):
            read_image(path)


def test_what_is_not_a_file(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ImageUnreadable, match="directory"):
        read_image(tmp_path)
    with pytest.raises(ImageUnreadable):
        read_image(tmp_path / "loop")
    with pytest.raises(ImageUnreadable):
        read_image("x" * 5000)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_and_devices_do_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path / "pipe.jpg", "/dev/zero"):
        with pytest.raises(ImageUnreadable, match="device"):
            read_image(path)


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real.png").write_bytes(encoded("png", scene()))
    (tmp_path / "link").symlink_to(tmp_path / "real.png")
    np.testing.assert_array_equal(read_image(tmp_path / "link"), scene())


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read every file")
def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded("png", scene()))
    path.chmod(0)
    with pytest.raises(ImageUnreadable, match="permission"):
        read_image(path)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO])
def test_refused_by_the_system(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    path = tmp_path / "a.png"
    path.write_bytes(encoded("png", scene()))
    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(ImageUnreadable) as caught:
        read_image(path)
    assert caught.value.why == os.strerror(code)


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text on other systems")
def test_names_that_are_not_text(tmp_path: Path) -> None:
    good = os.fsencode(tmp_path) + b"/\xff\xfe.png"
    Path(os.fsdecode(good)).write_bytes(encoded("png", scene()))
    np.testing.assert_array_equal(read_image(os.fsdecode(good)), scene())
    with pytest.raises(ImageNotFound) as caught:
        read_image(os.fsdecode(good + b"\x1b[31m\n"))
    shown = caught.value.what
    assert shown.isprintable()
    assert shown.encode("utf-8").endswith(rb"\xff\xfe.png\x1b[31m\n")
