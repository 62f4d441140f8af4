"""Every error the tool raises on purpose: one tree, each class with a code, an exit status and an explanation.

EdgeIqaError
├── InvalidInput            E100  wrong use: an argument, a spec, a value            exit 2
│   ├── UnknownKey          E101  a specification holds a key this version does not know
│   ├── DatasetError        E102  a table of scores or pairs cannot be read
│   │   └── DatasetLayout   E103  a folder is not the published dataset it is said to be
│   ├── PolicyError         E260  a policy for keeping frames does not make sense
│   ├── RecordedScoresError E261  a scores.jsonl to replay cannot be read
│   ├── SinkError           E262  a place for frames, scores or messages cannot be used
│   ├── AddressError        E264  an address to serve on is refused, or taken
│   ├── ResultsDiffer       E328  two results are of different bundles or pictures
│   └── ResultRefused       E329  a file is not a result of this version's bench
├── ImageError              E200  one picture cannot be scored                       exit 3
│   ├── ImageNotFound       E201
│   ├── ImageUnreadable     E202  no permission, a directory, a device
│   ├── ImageFormat         E203  not a picture format the tool accepts
│   ├── ImageCorrupt        E204  header fine, data broken or cut short
│   └── ImageTooLarge       E205  more pixels or bytes than the limit
├── CameraError             E250  a camera or video cannot be opened or has stopped  exit 4
│   ├── CameraNotFound      E251  no such file, device or stream
│   ├── CameraRefused       E252  nothing answers at that address
│   ├── CameraUnauthorised  E253  the camera wants a login, or another one
│   ├── CameraUnresolved    E254  the host's name is not known (DNS)
│   ├── CameraCodec         E255  something answers, but it is not video that can be decoded
│   ├── CameraStalled       E256  no frame for too long
│   ├── CameraBusy          E257  another program has the device, or it is not allowed
│   ├── CameraGone          E258  the connection was lost
│   └── PipelineFailed      E259  a GStreamer pipeline does not start or has stopped
├── MissingDependency       E300  a package is not installed                         exit 4
├── DeviceUnavailable       E301  this machine lacks the device or its runtime       exit 4
├── RemoteError             E320  another machine could not be worked on             exit 4
│   ├── HostUnreachable     E321  nothing answers there, or its name is not known
│   ├── HostKeyRefused      E322  its host key is not known, or not the one it had
│   ├── HostLoginRefused    E323  it does not accept the login
│   ├── ConnectionLost      E324  the line dropped and could not be made again
│   ├── HostUnprepared      E325  it lacks Python or a package that the runner needs
│   ├── HostDiskFull        E326  it has no room for the bundle and the pictures
│   └── RemoteRunFailed     E327  the benchmark there ended without a result
├── WeightsMissing          E400  pretrained weights that training starts from are not at hand  exit 4
├── ResumeRefused           E401  a checkpoint is of another run                     exit 2
├── BundleRefused           E500  a bundle is broken, altered or from a newer version  exit 5
│   ├── BundleBroken        E503  not a whole, plain zip: cut short, with bytes added, encrypted
│   ├── BundleAltered       E504  a file is missing, added or has another sha256 than the manifest says
│   ├── BundleUnsafe        E505  a name, link or special file that no bundle may hold
│   ├── BundleTooLarge      E506  it is, or unpacks to, more bytes than allowed
│   ├── ManifestRefused     E507  the manifest is missing, unreadable or of another schema
│   └── GoldenRefused       E508  the golden pictures or what is expected of them cannot be used
├── ModelRefused            E501  a checkpoint or graph does not fit the network     exit 5
│   └── GraphUnsupported    E502  an operator the target cannot express
├── BackendMismatch         E510  a runtime gave something other than the contract   exit 5
└── BarMissed               E600  a measured value is outside the declared budget    exit 1

A class docstring is the text that ``edge-iqa explain CODE`` prints.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar


class EdgeIqaError(Exception):
    """Base of every deliberate error; never raised itself.

    ``what`` says what happened, ``why`` the cause as far as it is known, ``fix`` what to do about it.
    """

    code: ClassVar[str] = "E000"
    exit_code: ClassVar[int] = 70

    def __init__(self, what: str, *, why: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix

    def __str__(self) -> str:
        lines = [f"{self.code}: {self.what}"]
        if self.why:
            lines.append(f"  why: {self.why}")
        if self.fix:
            lines.append(f"  fix: {self.fix}")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, str]:
        """Return ``{"code", "message"}`` as machine output carries it, on one line."""
        message = " ".join(self.what.split())
        if self.why:
            message += f" ({' '.join(self.why.split())})"
        return {"code": self.code, "message": message}


class InvalidInput(EdgeIqaError):
    """An argument, a file of settings or a value given to a function is not one the tool takes.

    The message names the argument and the values that are accepted. Nothing was computed or written.
    ``edge-iqa COMMAND --help`` lists the options of a command.
    """

    code = "E100"
    exit_code = 2


class UnknownKey(InvalidInput):
    """A recipe, manifest or other specification holds a key that this version does not know.

    Unknown keys are refused rather than ignored, because a misspelt key would otherwise silently fall back to a
    default. Correct the spelling, or use the version of edge-iqa that wrote the file (its ``schema_version``
    tells).
    """

    code = "E101"


class DatasetError(InvalidInput):
    """A table of human scores or of better/worse pairs could not be read.

    Scores: a CSV with a column of file names and a column of numbers (``--image-column``, ``--score-column``).
    Pairs: a CSV with the columns ``better`` and ``worse``, and optionally ``kind``. File names are relative to
    ``--root``.
    """

    code = "E102"


class DatasetLayout(DatasetError):
    """A folder given to ``eval --dataset`` does not hold what the authors of that dataset publish.

    Each dataset is read by its own published layout, whose files the message names. Unpack the archives as they
    are, and give the folder that holds the files of scores as ``--root``. A copy that was laid out anew can be read
    with ``--csv`` instead.
    """

    code = "E103"


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


class ResultsDiffer(InvalidInput):
    """Two results are of different bundles or of different pictures.

    A difference in time or drift would then say nothing about the runtime or the device. ``--allow-different``
    compares them all the same, and the output says what differs.
    """

    code = "E328"


class ResultRefused(InvalidInput):
    """A file is not a result that this version of ``edge-iqa bench --json`` writes.

    Its ``schema_version`` tells which version wrote it; a key that is missing, added or of another type is refused
    too, because a number read wrongly is worse than none.
    """

    code = "E329"


class ImageError(EdgeIqaError):
    """One picture could not be scored. In a folder, the other pictures are still scored; the exit status is 3."""

    code = "E200"
    exit_code = 3


class ImageNotFound(ImageError):
    """There is no file at this path. Relative paths are taken from the current directory."""

    code = "E201"


class ImageUnreadable(ImageError):
    """The path exists but cannot be read as a file: no permission, a directory, or a special file.

    Folders are walked only where a folder is expected (``edge-iqa score FOLDER``), not inside a list of files.
    """

    code = "E202"


class ImageFormat(ImageError):
    """The file's first bytes are not those of an accepted picture format (JPEG, PNG, WebP, BMP, TIFF, PNM).

    The name's ending is not looked at. A text file renamed to ``.jpg`` ends here.
    """

    code = "E203"


class ImageCorrupt(ImageError):
    """The header is that of a picture, but the data is broken or cut short.

    A half-decoded picture has a grey or repeated lower part, and its score would be meaningless, so none is given.
    Copy the file again from its source.
    """

    code = "E204"


class ImageTooLarge(ImageError):
    """The header announces more pixels, or the file has more bytes, than the limit.

    The size is read from the header before any pixel is decoded, so that a small hostile file cannot take all
    memory. The limit is 100 megapixels and 256 MiB; scale the picture down first.
    """

    code = "E205"


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


class MissingDependency(EdgeIqaError):
    """A package that this command needs is not installed in this Python environment.

    The runtime is installed without the heavy packages; each part names the extra that brings what it needs,
    for instance ``pip install 'edge-iqa[openvino]'``.
    """

    code = "E300"
    exit_code = 4


class DeviceUnavailable(EdgeIqaError):
    """This machine does not have the device, driver or runtime that was asked for.

    A measurement for a device is only ever taken on that device: nothing is filled in from another machine.
    """

    code = "E301"
    exit_code = 4


class RemoteError(EdgeIqaError):
    """Another machine (``--host``, ``--hosts``) could not be worked on.

    The system's ssh is used with ``BatchMode=yes`` and ``StrictHostKeyChecking=yes``: it never asks for a password
    and never accepts an unknown host key. Try ``ssh -o BatchMode=yes USER@HOST true`` first.
    """

    code = "E320"
    exit_code = 4


class HostUnreachable(RemoteError):
    """Nothing answers at the host's address and port, or its name is not known.

    Look at the spelling, the port (``user@host:port``), the cable, and whether sshd runs there.
    """

    code = "E321"


class HostKeyRefused(RemoteError):
    """The host's key is not in ``known_hosts``, or is not the one that is there.

    Nothing was sent. A key is never accepted unseen: log in once by hand (``ssh USER@HOST``) and compare the
    fingerprint with what ``ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`` prints on the device. Where a key has
    changed and nobody has set the device up anew, somebody may be between you and it.
    """

    code = "E322"


class HostLoginRefused(RemoteError):
    """The host does not accept the login with a key; a password is never asked for.

    Put your public key there (``ssh-copy-id USER@HOST``) and load the private one into an agent if it has a
    passphrase.
    """

    code = "E323"


class ConnectionLost(RemoteError):
    """The connection dropped and could not be made again for a while.

    The measurement goes on there by itself. The same command continues where it was: what was sent is not sent
    again, and a finished result is fetched.
    """

    code = "E324"


class HostUnprepared(RemoteError):
    """The host lacks what the pushed runner needs: Python 3.10 or newer with numpy, OpenCV and ONNX Runtime.

    edge-iqa itself need not be installed there. ``python`` in the file of ``--hosts``, or ``--host-python``, names
    the interpreter of a virtual environment, for instance ``/home/user/bench/bin/python``.
    """

    code = "E325"


class HostDiskFull(RemoteError):
    """The host's disk has no room for the runner, the bundle and the pictures.

    What was sent so far was removed. Free some space, send fewer pictures (``--drift-images``), or name another
    folder there with ``folder`` in the file of ``--hosts`` or ``--host-folder``.
    """

    code = "E326"


class RemoteRunFailed(RemoteError):
    """The runner on the host ended without a result: it was killed, or it met a fault.

    The last lines of its log are in the message. A device that runs out of memory kills the largest process;
    ``dmesg`` there tells.
    """

    code = "E327"


class WeightsMissing(EdgeIqaError):
    """Pretrained weights that a training method starts from are not on this machine.

    Methods that start from an image-text model (``qualiclip``, ``sfd-iqa``, and the second branch of ``grepq``) load it
    by open_clip, from a file or by a tag; text alignment in ``hirqa`` needs a text encoder. Nothing is replaced by
    random weights. Fetch the weights on a machine with a connection and name the file in the recipe.
    """

    code = "E400"
    exit_code = 4


class ResumeRefused(EdgeIqaError):
    """``--resume`` found a checkpoint that another recipe, seed or set of photographs made.

    Going on from it would give a teacher that no recipe describes. Use the recipe and the photographs of the first run,
    or start again without ``--resume``.
    """

    code = "E401"
    exit_code = 2


class BundleRefused(EdgeIqaError):
    """The bundle is not one that can be trusted to score correctly.

    A bundle is one ``.eiqa`` file: a zip with fixed names, no links, bounded sizes, and a manifest that holds the
    sha256 of every file. A missing, added, altered or oversized file, or a schema newer than this tool, is refused
    before anything in it is used. Fetch the bundle again or rebuild it with ``edge-iqa quantize``.
    """

    code = "E500"
    exit_code = 5


class BundleBroken(BundleRefused):
    """The file is not one whole, plain zip as edge-iqa writes it.

    It is cut short, its compressed data is damaged, it is encrypted or compressed in another way, or it has bytes
    before, between or after its files. A bundle that went through another zip program ends here too, even with
    the same files in it. Fetch it again and compare its sha256 with the publisher's.
    """

    code = "E503"


class BundleAltered(BundleRefused):
    """A file in the bundle is not the one that the manifest lists: another sha256 or size, missing, or added.

    Damage in transit and tampering look the same here. The manifest itself is not signed: where an attacker may
    rewrite the whole bundle, compare the sha256 of the ``.eiqa`` file with the publisher's.
    """

    code = "E504"


class BundleUnsafe(BundleRefused):
    """The bundle holds a name, a link or a special file that no bundle may hold, or one name twice.

    Names are fixed, so that nothing in a bundle can point outside of it. Such a file was not written by edge-iqa;
    do not use it.
    """

    code = "E505"


class BundleTooLarge(BundleRefused):
    """The bundle has, or would unpack to, more bytes than allowed, or unpacks to more than 200 times its size.

    The sizes are read from the headers before anything is unpacked, so that a small hostile file cannot take all
    memory.
    """

    code = "E506"


class ManifestRefused(BundleRefused):
    """The manifest is missing, is not JSON, has unknown or missing keys, or a schema version of another edge-iqa.

    A ``schema_version`` above the one that this version reads means: update edge-iqa. Anything else means that the
    bundle is damaged or was written by something else.
    """

    code = "E507"


class GoldenRefused(BundleRefused):
    """The golden pictures, or the document of what is expected of them, are missing or cannot be read.

    ``edge-iqa verify`` needs them; scoring does not. Rebuild the bundle with ``edge-iqa quantize``.
    """

    code = "E508"


class ModelRefused(EdgeIqaError):
    """A checkpoint does not fit the network: keys are missing, unexpected, or have another shape.

    The first differences are listed. Checkpoints are read with ``torch.load(weights_only=True)`` only; a file that
    needs arbitrary code to load is refused.
    """

    code = "E501"
    exit_code = 5


class GraphUnsupported(ModelRefused):
    """A graph holds an operator, attribute or layout that the target format cannot express exactly.

    The node's name and the rule are in the message. Nothing was written.
    """

    code = "E502"


class BackendMismatch(EdgeIqaError):
    """A runtime returned something other than the contract: one finite float32 score in [0, 1] per picture."""

    code = "E510"
    exit_code = 5


class BarMissed(EdgeIqaError):
    """A measured value lies outside the budget that was declared (``--budget``, ``--min-srcc``, ``--max-drift`` …).

    The result files are written all the same, so that the miss can be looked into.
    """

    code = "E600"
    exit_code = 1


def all_errors(base: type[EdgeIqaError] = EdgeIqaError) -> Iterator[type[EdgeIqaError]]:
    """Yield every error class below ``base``, parents first."""
    for child in base.__subclasses__():
        yield child
        yield from all_errors(child)
