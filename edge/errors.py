"""Every error the tool raises on purpose: one tree, each class with a code, an exit status and an explanation.

EdgeIqaError
├── InvalidInput            E100  wrong use: an argument, a spec, a value            exit 2
│   ├── UnknownKey          E101  a specification holds a key this version does not know
│   └── DatasetError        E102  a table of scores or pairs cannot be read
├── ImageError              E200  one picture cannot be scored                       exit 3
│   ├── ImageNotFound       E201
│   ├── ImageUnreadable     E202  no permission, a directory, a device
│   ├── ImageFormat         E203  not a picture format the tool accepts
│   ├── ImageCorrupt        E204  header fine, data broken or cut short
│   └── ImageTooLarge       E205  more pixels or bytes than the limit
├── CameraError             E250  a camera or video cannot be opened or has stopped  exit 4
├── MissingDependency       E300  a package is not installed                         exit 4
├── DeviceUnavailable       E301  this machine lacks the device or its runtime       exit 4
├── BundleRefused           E500  a bundle is broken, altered or from a newer version  exit 5
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


class BundleRefused(EdgeIqaError):
    """The bundle is not one that can be trusted to score correctly.

    A bundle is one ``.eiqa`` file: a zip with fixed names, no links, bounded sizes, and a manifest that holds the
    sha256 of every file. A missing, added, altered or oversized file, or a schema newer than this tool, is refused
    before anything in it is used. Fetch the bundle again or rebuild it with ``edge-iqa quantize``.
    """

    code = "E500"
    exit_code = 5


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
