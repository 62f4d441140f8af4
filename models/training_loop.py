"""The training loop of every method.

Batches, learning rate and random draws are functions of the step: a run that is stopped and resumed does what an
unbroken one does, on a CPU bit for bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edge_iqa.models.methods.base import TrainingMethod
from edge_iqa.models.training_batches import Batch, BatchSource, batch_loader
from edge_iqa.models.training_checkpoint import Look, RunState, load_checkpoint, save_checkpoint
from edge_iqa.models.training_log import TrainingLog
from edge_iqa.models.training_recipe import LoopSpec

CHECKPOINT = "checkpoint.safetensors"
LOG = "log.csv"
_NOTE_EVERY = 10
# stage, steps done, steps in all, loss or None
Report = Callable[[str, int, int, float | None], None]


@dataclass
class Clock:
    """Pictures that this process has trained on, the seconds of training, and what of them was waiting for pictures.

    ``aside`` are the seconds of looks and checkpoints; they are not in ``seconds``.
    """

    pictures: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    aside: float = 0.0


@dataclass(frozen=True)
class LoopResult:
    """Every look at the held-out photographs, those before a resume included, and the clock of this process."""

    looks: tuple[Look, ...]
    clock: Clock


def learning_rate_factor(step: int, spec: LoopSpec) -> float:
    """Return the share of the full learning rate at a step: a linear rise, then a cosine to zero."""
    warm_up = max(1, round(spec.warm_up_share * spec.steps))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, spec.steps - warm_up)))


def make_optimizer(method: TrainingMethod, spec: LoopSpec) -> torch.optim.AdamW:
    """Return AdamW with one group for pretrained parameters and one for new ones."""
    groups: list[dict[str, Any]] = [
        {"params": method.pretrained_parameters(), "lr": spec.learning_rate},
        {"params": method.new_parameters(), "lr": spec.head_learning_rate},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], weight_decay=spec.weight_decay)


def run_loop(
    method: TrainingMethod,
    source: BatchSource,
    spec: LoopSpec,
    fabric: Any,
    folder: Path,
    *,
    recipe: str,
    photographs_sha256: str,
    look: Callable[[], float] | None,
    resume: bool,
    report: Report,
) -> LoopResult:
    """Train ``method`` in place. ``folder`` gets the checkpoint and the log; ``look`` gives the held-out accuracy.

    With ``resume`` the run goes on from the checkpoint in ``folder``, if there is one. Raises ResumeRefused where
    that checkpoint is of another recipe or of other photographs.
    """
    method.to(fabric.device)
    optimizer = make_optimizer(method, spec)
    rates: list[float] = [group["lr"] for group in optimizer.param_groups]
    state = RunState(0, (), recipe, photographs_sha256, {})
    path = folder / CHECKPOINT
    if resume and path.exists():
        state = load_checkpoint(path, method, optimizer, state)
        fabric.strategy.precision.load_state_dict(state.precision)
    log = TrainingLog(folder / LOG, state.step, quiet=not fabric.is_global_zero)
    looks = list(state.looks)

    def take_look(step: int) -> None:
        if look is None:
            return
        looks.append(Look(step, look()))
        log.look(step, looks[-1].accuracy)

    if not looks:
        take_look(0)
    wrapped, stepping = fabric.setup(method, optimizer)
    clock = Clock()
    started = time.perf_counter()
    total = len(source)
    method.train()
    for step, batch in enumerate(_timed(source, state.step, spec, fabric, clock), state.step):
        factor = learning_rate_factor(step, spec)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor
        terms: dict[str, Tensor] = wrapped(batch)
        fabric.backward(terms["loss"])
        fabric.clip_gradients(wrapped, stepping, max_norm=spec.clip_norm, error_if_nonfinite=False)
        stepping.step()
        stepping.zero_grad()
        done = step + 1
        last = done == total
        if done % _NOTE_EVERY == 0 or last:
            values = {name: float(value.detach()) for name, value in terms.items()}
            report("training", done, total, values["loss"])
            speed = clock.pictures * fabric.world_size / (time.perf_counter() - started - clock.aside)
            log.steps(done, values, rates[-1] * factor, speed)
        left = time.perf_counter()
        if done % spec.look_every == 0 or last:
            take_look(done)
            method.train()
        if done % spec.checkpoint_every == 0 or last:
            precision = dict(fabric.strategy.precision.state_dict())
            if fabric.is_global_zero:
                now = RunState(done, tuple(looks), recipe, photographs_sha256, precision)
                save_checkpoint(path, method, optimizer, now)
            fabric.barrier()
        clock.aside += time.perf_counter() - left
    clock.seconds = time.perf_counter() - started - clock.aside
    method.eval()
    return LoopResult(tuple(looks), clock)


def _timed(source: BatchSource, first_step: int, spec: LoopSpec, fabric: Any, clock: Clock) -> Iterator[Batch]:
    """Yield the batches from ``first_step`` on, on the device, and keep the clock of the waiting."""
    asked = time.perf_counter()
    for batch in batch_loader(source, first_step, spec.loader_workers):
        ready: Batch = fabric.to_device(batch)
        clock.waited += time.perf_counter() - asked
        clock.pictures += batch["pictures"].shape[:-3].numel()
        yield ready
        asked = time.perf_counter()
