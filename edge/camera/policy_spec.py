"""What a policy is: the rules by which frames are kept, as frozen dataclasses read from TOML, and the presets."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path

from edge_iqa.errors import PolicyError
from edge_iqa.spec import from_document

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SCHEMA_VERSION = 1
MAX_WINDOW_FRAMES = 2000  # the window is sorted once per frame
_MAX_FILE_BYTES = 64 * 1024
_FOLDER = Path(__file__).parent / "policies"


@dataclass(frozen=True)
class QuantileRule:
    """The threshold follows the scores: it is the ``level`` quantile of the last ``window_frames`` scores.

    With level 0.7 about three frames in ten are good enough. The policy's ``threshold`` stays the floor, and stands
    alone until ``min_frames`` scores are known.
    """

    level: float
    window_frames: int = 300
    min_frames: int = 30


@dataclass(frozen=True)
class SceneChangeRule:
    """A cut or a sudden large change starts afresh: the quantile's scores are forgotten, a held frame is decided.

    ``difference`` is the mean absolute difference of two small grey pictures, 0 to 1, from which a change counts;
    it must also be ``ratio`` times what the last frames differed by, so that fast motion is no change.
    """

    difference: float = 0.15
    ratio: float = 3.0


@dataclass(frozen=True)
class Policy:
    """The rules by which frames are kept; scores are 0 to 1, higher is better. Rules left out do not apply.

    A rule further up this list wins over those below it:

    ``max_age_ms``: a frame older than this, from its grab to its score, is dropped; also a held one grown older.
    ``warm_up_s``: nothing is kept at first, while exposure and focus settle; the quantile already learns.
    ``min_gap_s``: at least this time between two kept frames.
    ``max_gap_s``: never starve. After this time without a kept frame the next scored frame is kept, whatever its
    score; with ``best_of_s`` it is the best frame of the last ``best_of_s`` before. A frame without a score is
    never kept, but with ``unscored_may_fill_gap`` it may fill such a gap: the robot sees even if the model fails.
    ``threshold``: the lowest score of a good frame. With ``hysteresis``, once a frame was good, later ones are good
    down to ``threshold - hysteresis``, until one is below it. ``quantile`` raises the threshold with the scores.
    ``best_of_s``: from the first good frame on, the best of this time is kept. The frame is decided at the end of
    the time only, so it is later by up to that.
    """

    schema_version: int
    name: str
    threshold: float
    purpose: str = ""
    hysteresis: float = 0.0
    best_of_s: float = 0.0
    min_gap_s: float = 0.0
    max_gap_s: float | None = None
    max_age_ms: float | None = None
    warm_up_s: float = 0.0
    unscored_may_fill_gap: bool = False
    quantile: QuantileRule | None = None
    scene_change: SceneChangeRule | None = None

    def __post_init__(self) -> None:
        _check(self)


def preset_names() -> tuple[str, ...]:
    """Return the names of the policies that come with the tool."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def load_policy(name_or_path: str | Path) -> Policy:
    """Read a policy: the name of a preset, or the path of a TOML file; raises PolicyError."""
    name = str(name_or_path)
    if name in preset_names():
        return read_policy(_FOLDER / f"{name}.toml")
    path = Path(name_or_path)
    if not path.is_file():
        presets = ", ".join(preset_names())
        raise PolicyError(f"There is no policy {name!r}", fix=f"one of {presets}, or the path of a TOML file")
    return read_policy(path)


def read_policy(path: Path) -> Policy:
    """Read a policy from a TOML file; raises PolicyError, and UnknownKey for a misspelt key."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
        if len(data) > _MAX_FILE_BYTES:
            raise PolicyError(f"{path} is too large for a policy")
        document = tomllib.loads(data.decode("utf-8"))
    except OSError as error:
        raise PolicyError(f"{path} cannot be read", why=error.strerror or str(error)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PolicyError(f"{path} is not a TOML file", why=str(error)) from error
    if document.get("schema_version") != SCHEMA_VERSION:
        raise PolicyError(
            f"{path} is not a policy this version reads",
            why=f"its schema_version is {document.get('schema_version')!r}, not {SCHEMA_VERSION}",
        )
    return from_document(Policy, document, path.name)


def policy_text(policy: Policy) -> str:
    """Return ``policy`` as a TOML document that ``read_policy`` reads back to an equal policy."""
    lines, tables = [], []
    for field in dataclasses.fields(policy):
        value = getattr(policy, field.name)
        if value is None:
            continue
        if dataclasses.is_dataclass(value):
            tables += ["", f"[{field.name}]"]
            tables += [f"{part.name} = {_literal(getattr(value, part.name))}" for part in dataclasses.fields(value)]
        else:
            lines.append(f"{field.name} = {_literal(value)}")
    return "\n".join([*lines, *tables]) + "\n"


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value).replace("\x7f", "\\u007f")
    return repr(value)


def _check(policy: Policy) -> None:
    where = f"The policy {policy.name!r}"

    def within(name: str, value: float | None, low: float, high: float) -> None:
        if value is not None and not low <= value <= high:  # also refuses NaN
            limit = f"from {low:g} to {high:g}" if math.isfinite(high) else f"at least {low:g} and finite"
            raise PolicyError(f"{where}: {name} must be {limit}", why=f"it is {value:g}")

    longest = sys.float_info.max
    within("threshold", policy.threshold, 0, 1)
    within("hysteresis", policy.hysteresis, 0, 1)
    for name in ("best_of_s", "min_gap_s", "max_gap_s", "max_age_ms", "warm_up_s"):
        within(name, getattr(policy, name), 0, 1e9 if name != "max_age_ms" else longest)
    if policy.quantile is not None:
        within("quantile.level", policy.quantile.level, 0, 1)
        within("quantile.window_frames", policy.quantile.window_frames, 1, MAX_WINDOW_FRAMES)
        within("quantile.min_frames", policy.quantile.min_frames, 1, policy.quantile.window_frames)
    if policy.scene_change is not None:
        within("scene_change.difference", policy.scene_change.difference, 0, 1)
        within("scene_change.ratio", policy.scene_change.ratio, 1, 1000)
    if policy.max_gap_s is not None and policy.max_gap_s < max(policy.min_gap_s, policy.best_of_s):
        raise PolicyError(
            f"{where}: max_gap_s is shorter than min_gap_s or best_of_s",
            why="a frame would have to be kept before it may be",
            fix="make max_gap_s at least as long as both",
        )
    if policy.max_age_ms is not None and policy.best_of_s * 1e3 > policy.max_age_ms:
        raise PolicyError(
            f"{where}: best_of_s is longer than max_age_ms",
            why="a frame held for the best of that time would be too old when it is decided",
            fix="shorten best_of_s or lengthen max_age_ms",
        )
