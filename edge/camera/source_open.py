"""From what a user names as SOURCE to the source itself; nothing is opened yet."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from edge_iqa.camera.redact import redact
from edge_iqa.camera.source import Source, SourceOptions
from edge_iqa.errors import CameraNotFound, InvalidInput

KINDS = """SOURCE is one of:
  clip.mp4               a video file; no frame of it is dropped for being late
  pictures/              a folder of pictures, in the order of their names
  0, /dev/video0         a camera of this computer
  rtsp://host/path       a network camera; also http, https, rtmp, srt, udp
  picamera, picamera:1   a Raspberry Pi camera
  gst:PIPELINE           a GStreamer pipeline; 'gst:' may be left out where there is a ' ! '
  -                      PPM, YUV4MPEG2 or (--raw, --size) headerless frames on stdin
  test:640x480@30        a moving test pattern
  env:NAME               what the environment variable NAME holds, to keep passwords out of the process list"""


def make_source(text: str, options: SourceOptions | None = None) -> Source:
    """Return the source that ``text`` names (see ``KINDS``); raises InvalidInput, or CameraNotFound for a path."""
    options = options or SourceOptions()
    if text.startswith("env:"):
        text = _from_environment(text[4:])
    if text == "-":
        from edge_iqa.camera.source_pipe import PipeSource

        return PipeSource(options)
    if text.startswith("test:"):
        from edge_iqa.camera.source_test import TestSource, parse_test_spec

        return TestSource(parse_test_spec(text), text)
    if text.startswith("gst:") or " ! " in text:
        from edge_iqa.camera.source_gstreamer import GstreamerSource

        return GstreamerSource(text.removeprefix("gst:"), options)
    picamera = re.fullmatch(r"picamera(?::(\d{1,2}))?", text)
    if picamera is not None:
        from edge_iqa.camera.source_picamera import PicameraSource

        return PicameraSource(int(picamera[1] or 0), options)
    if "://" in text:
        return _from_url(text, options)
    return _from_path(text, options)


def _from_environment(name: str) -> str:
    text = os.environ.get(name, "")
    if not text or text.startswith("env:"):
        raise InvalidInput(f"The environment variable {name!r} names no source")
    return text


def _from_url(text: str, options: SourceOptions) -> Source:
    from edge_iqa.camera.source_network import SCHEMES, NetworkSource

    scheme = urlsplit(text).scheme.lower()
    if scheme not in SCHEMES:
        raise InvalidInput(f"{redact(text)} cannot be a source", fix=f"a URL with one of: {', '.join(SCHEMES)}")
    return NetworkSource(text, options)


def _from_path(text: str, options: SourceOptions) -> Source:
    from edge_iqa.camera.source_device import DeviceSource
    from edge_iqa.camera.source_file import VideoFileSource
    from edge_iqa.camera.source_folder import FolderSource

    if re.fullmatch(r"\d{1,3}", text):
        return DeviceSource(int(text), options)
    if text.startswith("/dev/"):
        return DeviceSource(text, options)
    path = Path(text)
    if os.path.isdir(text):
        return FolderSource(path, options)
    if not os.path.exists(text):
        raise CameraNotFound(f"There is no video {redact(text)}", fix="name a file, a camera's number, or a URL")
    return VideoFileSource(path)
