"""Cameras, policies, and where kept frames go."""

from __future__ import annotations

from edge_iqa.errors.base import EdgeIqaError, InvalidInput


class CameraError(EdgeIqaError):
    """A camera or video source could not be opened, or stopped delivering frames."""

    code = "E250"
    exit_code = 4


class CameraNotFound(CameraError):
    """There is no such file, device or stream.

    A server that answers has no stream under that path (RTSP or HTTP 404); a device may be unplugged. The path of a
    camera's stream is in its manual, often ``/Streaming/Channels/101``, ``/h264Preview_01_main`` or ``/stream1``.
    """

    code = "E251"


class CameraRefused(CameraError):
    """Nothing answers at that address: the connection is refused, the host is unreachable, or does not reply.

    Check the host and the port (RTSP: 554 by default), and that the camera is on.
    """

    code = "E252"


class CameraUnauthorised(CameraError):
    """The camera answers but wants a login, or does not accept the one that was given (401 or 403).

    Put the login into the URL, ``rtsp://user:password@host/path``, with special characters percent-encoded. To keep
    it out of the list of processes, put the URL into an environment variable NAME and give ``env:NAME``.
    """

    code = "E253"


class CameraUnresolved(CameraError):
    """The name of the host cannot be turned into an address. Check the spelling, the network and the DNS server."""

    code = "E254"


class CameraCodec(CameraError):
    """Something answers or can be opened, but holds no video that can be decoded here.

    There is no video stream, its codec is not supported, or nothing but damaged data comes.
    """

    code = "E255"


class CameraStalled(CameraError):
    """The camera is connected but no frame has come for too long (``--stall-after``)."""

    code = "E256"


class CameraBusy(CameraError):
    """The device exists but cannot be used: another program has it, or this user may not.

    On Linux ``fuser /dev/video0`` names the program; the user must be in the group ``video``.
    """

    code = "E257"


class CameraGone(CameraError):
    """A camera that delivered frames has ended the stream or lost the connection, and was not to be waited for."""

    code = "E258"


class PipelineFailed(CameraError):
    """A GStreamer pipeline does not start, or has stopped with an error, which the message repeats.

    The pipeline is run by the program ``gst-launch-1.0`` (Debian: gstreamer1.0-tools) and its frames are read from
    a pipe, so OpenCV needs no GStreamer. ``gst-launch-1.0 -v PIPELINE ! fakesink`` shows more.
    """

    code = "E259"


class PolicyError(InvalidInput):
    """A policy for keeping frames cannot be read, or its rules contradict one another.

    A policy is a small TOML file; ``edge-iqa watch --policy NAME`` also takes the name of one that comes with the
    tool. The message names the key and the values it may have.
    """

    code = "E260"


class RecordedScoresError(InvalidInput):
    """A file of recorded scores cannot be replayed: it is missing, empty, or a line is not what watch writes.

    Each line is a JSON object with the keys frame, time_s, score, decision, reason and age_ms.
    """

    code = "E261"


class SinkError(InvalidInput):
    """A place where frames, scores or messages should go cannot be used as it was given.

    Checked before the first frame: a folder that cannot be written, a hook whose program does not exist, a broker's
    address that is not one. What fails later, while the loop runs, is counted and told, and the loop goes on.
    """

    code = "E262"


class AddressError(InvalidInput):
    """The preview or the metrics cannot be served on this address.

    Only this machine can reach the loopback addresses (127.0.0.1, ::1, localhost), so these need nothing more. On any
    other address the preview shows the camera to the network: it asks for a token. The address may also be taken
    by another program, or not belong to this machine.
    """

    code = "E264"
