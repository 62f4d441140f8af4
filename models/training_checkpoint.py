"""Where a training run stands, in one file: weights, optimizer state, step, looks so far, and the recipe.

A safetensors file with JSON in its header; nothing in it is code. The learning rate and every random draw follow from
the step, so the step is all that is needed of them.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from edge_iqa.errors import ResumeRefused

SCHEMA_VERSION = "1"
_METHOD, _OPTIMIZER = "method.", "optimizer."


@dataclass(frozen=True)
class Look:
    """One look at the held-out photographs: after ``step`` steps, the share of ordered pairs ranked right."""

    step: int
    accuracy: float


@dataclass(frozen=True)
class RunState:
    """What is not a tensor: steps done, looks, and what the run is of (recipe as TOML, sha256 of the photographs)."""

    step: int
    looks: tuple[Look, ...]
    recipe: str
    photographs_sha256: str
    precision: dict[str, Any]


def save_checkpoint(path: Path, method: nn.Module, optimizer: torch.optim.Optimizer, state: RunState) -> None:
    """Write a checkpoint; an older one stays whole until the new one is."""
    tensors = {f"{_METHOD}{key}": _own(value) for key, value in method.state_dict().items()}
    for index, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            tensors[f"{_OPTIMIZER}{index}.{name}"] = _own(torch.as_tensor(value))
    header = {"schema_version": SCHEMA_VERSION, "state": json.dumps(asdict(state))}
    part = path.with_name(f".{path.name}.part")
    save_file(tensors, part, metadata=header)
    part.replace(path)


def _own(value: Tensor) -> Tensor:
    return value.detach().cpu().contiguous().clone()


def load_checkpoint(path: Path, method: nn.Module, optimizer: torch.optim.Optimizer, wanted: RunState) -> RunState:
    """Fill ``method`` and ``optimizer`` from a checkpoint and return where the run stands.

    Raises ResumeRefused where the file is broken, or its recipe or photographs are not those of ``wanted``.
    """
    try:
        with safe_open(path, framework="pt") as stored:
            header = stored.metadata() or {}
            tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 (not a mapping)
        document = json.loads(header["state"])
        state = RunState(**{**document, "looks": tuple(Look(**look) for look in document["looks"])})
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ResumeRefused(f"{path} is not a checkpoint of a training run", why=str(error)) from error
    for part in ("recipe", "photographs_sha256"):
        if getattr(state, part) != getattr(wanted, part):
            raise ResumeRefused(
                f"{path} is the checkpoint of another run",
                why=f"its {part.partition('_')[0]} are different" if "_" in part else _difference(state, wanted),
                fix="use the recipe, the options and the photographs of that run, or start without --resume",
            )
    method.load_state_dict(
        {key.removeprefix(_METHOD): value for key, value in tensors.items() if key.startswith(_METHOD)}
    )
    states: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith(_OPTIMIZER):
            index, name = key.removeprefix(_OPTIMIZER).split(".", 1)
            states.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
    return state


def go_on(path: Path | None, method: nn.Module, optimizer: torch.optim.Optimizer, wanted: RunState) -> RunState:
    """Return ``load_checkpoint`` of ``path``, or ``wanted`` where there is none of the same run: it begins anew."""
    if path is not None and path.exists():
        with contextlib.suppress(ResumeRefused):
            return load_checkpoint(path, method, optimizer, wanted)
    return wanted


def _difference(state: RunState, wanted: RunState) -> str:
    """Return the first lines in which two recipes differ."""
    theirs, ours = set(state.recipe.splitlines()), set(wanted.recipe.splitlines())
    return f"its recipe has {sorted(theirs - ours)[:3]}, this one {sorted(ours - theirs)[:3]}"
