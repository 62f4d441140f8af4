"""Checkpoints: the authors' HiRQA files imported once, and our own safetensors with what made them."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from edge_iqa.errors import InvalidInput, ModelRefused
from edge_iqa.models.clip_teachers import DiscriminatorTeacher, PromptTeacher
from edge_iqa.models.efficientnet_lite import load_imagenet
from edge_iqa.models.grepq_teacher import GRepQTeacher
from edge_iqa.models.hirqa import HiRQA
from edge_iqa.models.stage_statistics import StageStatistics
from edge_iqa.models.trunk_teachers import HiRQALite, Ranker

SCHEMA_VERSION = "1"
Teacher: TypeAlias = HiRQA | HiRQALite | StageStatistics | Ranker | GRepQTeacher | PromptTeacher | DiscriminatorTeacher
# name in the file → the network, made from the keywords that stand in the file as "architecture"
NETWORKS: dict[str, Callable[..., Teacher]] = {
    "hirqa": lambda: HiRQA(50),
    "hirqa-s": lambda: HiRQA(18),
    "hirqa-lite": HiRQALite,
    "stage-statistics": StageStatistics,
    "ranker": Ranker,
    "grepq": GRepQTeacher,
    "qualiclip": PromptTeacher,
    "sfd-iqa": DiscriminatorTeacher,
}
EMBEDDED_TEACHER = Path(__file__).parent / "weights" / "teacher.safetensors"
# The frozen trunk of this teacher is in its own package; the file holds what was trained.
_TRUNK_PREFIX = "trunk."


def import_authors_checkpoint(source: Path) -> HiRQA:
    """Read a checkpoint of the HiRQA authors (a dict with ``model_state_dict``) into the network it is for.

    Which one it is, HiRQA or HiRQA-S, follows from the width of the pool. The file is read with
    ``weights_only=True``. Raises InvalidInput where there is no file, ModelRefused where it needs code to load, is
    not such a checkpoint, or has other keys or shapes; the first differences are listed.
    """
    if not source.is_file():
        raise InvalidInput(f"There is no file {source}")
    try:
        content = torch.load(source, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise ModelRefused(
            f"{source.name} cannot be read as a plain checkpoint",
            why=" ".join(str(error).split())[:200],
            fix="a checkpoint that needs code to load is refused; ask its source for a state dict",
        ) from error
    state = content.get("model_state_dict") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelRefused(
            f"{source.name} holds no 'model_state_dict' of tensors",
            fix="the authors' layout is a dict with the key 'model_state_dict'",
        )
    state = {key.removeprefix("module."): value for key, value in state.items()}
    query = state.get("global_pool_quality.q_proj.weight")
    network = HiRQA(18 if query is not None and query.shape[0] == 512 else 50)
    fill(network, state, source.name)
    return network.eval()


def fill(network: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    """Load ``state`` into ``network``; raises ModelRefused listing the first differences where it does not fit."""
    own = network.state_dict()
    counters = {key for key in own if key.endswith("num_batches_tracked")}
    missing = [f"missing {key}" for key in own if key not in state and key not in counters]
    unexpected = [f"unexpected {key}" for key in state if key not in own]
    other = [
        f"{key} is {tuple(state[key].shape)}, not {tuple(own[key].shape)}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    differences = other + missing + unexpected
    if differences:
        raise ModelRefused(
            f"{name} does not fit the network ({len(differences)} differences)",
            why="; ".join(differences[:5]),
            fix="check which network the file is for; known layouts are in docs/models.md",
        )
    network.load_state_dict({**{key: own[key] for key in counters}, **state})


def save_network(network: nn.Module, name: str, path: Path, notes: Mapping[str, Any]) -> None:
    """Write a network as safetensors; ``notes`` (seeds, data hashes, versions) go into its header as JSON."""
    if name not in NETWORKS:
        raise InvalidInput(f"There is no network {name!r}", fix=f"one of: {', '.join(NETWORKS)}")
    state = {
        key: value.contiguous()
        for key, value in network.state_dict().items()
        if not (name == "stage-statistics" and key.startswith(_TRUNK_PREFIX))
    }
    header = {
        "schema_version": SCHEMA_VERSION,
        "network": name,
        "architecture": json.dumps(getattr(network, "architecture", {})),
        "notes": json.dumps(dict(notes)),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    save_file(state, temporary, metadata=header)
    temporary.replace(path)


def load_network(path: Path) -> tuple[Teacher, str, dict[str, Any]]:
    """Read what ``save_network`` wrote: the network in evaluation mode, its name and its notes.

    Raises InvalidInput where there is no file and ModelRefused where it is not one of ours or does not fit.
    """
    if not path.is_file():
        raise InvalidInput(f"There is no teacher {path}", fix="name a .safetensors file from 'train' or 'import'")
    try:
        with safe_open(path, framework="pt") as stored:
            header = stored.metadata() or {}
            state = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 (not a mapping)
    except SafetensorError as error:
        raise ModelRefused(f"{path.name} is not a safetensors file", why=str(error)) from error
    name = header.get("network", "")
    if header.get("schema_version") != SCHEMA_VERSION or name not in NETWORKS:
        raise ModelRefused(
            f"{path.name} was not written by this version of edge-iqa",
            why=f"schema_version {header.get('schema_version')!r}, network {name!r}",
        )
    try:
        network = NETWORKS[name](**json.loads(header.get("architecture", "{}")))
    except (TypeError, ValueError, InvalidInput) as error:
        raise ModelRefused(f"{path.name} describes a network that cannot be built", why=str(error)) from error
    if isinstance(network, StageStatistics):
        load_imagenet(network.trunk)
        trunk = {key: value for key, value in network.state_dict().items() if key.startswith(_TRUNK_PREFIX)}
        state = {**trunk, **state}
    fill(network, state, path.name)
    return network.eval(), name, json.loads(header.get("notes", "{}"))


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file as hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
