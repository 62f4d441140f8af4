"""The root of the tree, and the errors of arguments, packages, devices and bars."""

from __future__ import annotations

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


class BarMissed(EdgeIqaError):
    """A measured value lies outside the budget that was declared (``--budget``, ``--min-srcc``, ``--max-drift`` …).

    The result files are written all the same, so that the miss can be looked into.
    """

    code = "E600"
    exit_code = 1
