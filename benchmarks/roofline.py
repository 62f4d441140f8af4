"""The roofline: the least time a device needs for a network, layer by layer, and estimates made of it.

A layer takes at least its arithmetic at the peak rate, and at least the moving of its weights, input and
output, once each, at the peak bandwidth; the larger of the two is its limit, and the sum over the layers is the
network's (Williams, Waterman, Patterson: Roofline, CACM 52(4), 2009, applied to each layer). That every layer
moves its data to and from memory is ours: what a cache keeps is not moved, so with a large cache a runtime can
be faster than the memory's part of this limit. Arithmetic is limited by the cores used, the memory is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge_iqa.benchmarks.layer_costs import LayerCost
from edge_iqa.benchmarks.results import Estimate, Roofline
from edge_iqa.devices.profile import DeviceProfile, Processor

MARK = "ESTIMATE"


@dataclass(frozen=True)
class Limit:
    """A network's limit in milliseconds, and the share of it that arithmetic sets rather than the memory."""

    limit_ms: float
    compute_bound: float


@dataclass(frozen=True)
class Machine:
    """What a limit depends on besides the profile: processor cores in use, and their highest clock in MHz."""

    cores: int
    cpu_mhz: float | None


def network_limit(
    costs: Iterable[LayerCost],
    profile: DeviceProfile,
    processor: Processor,
    precision: str,
    machine: Machine | None = None,
) -> Limit | None:
    """Return the limit of a network on one processor of a device, or None where a rate is not known.

    ``precision`` is that of the model; in int8, layers that stay in float run as float32. ``machine`` tells of
    the machine at hand; without it, all cores of the profile are used.
    """
    limit_ms = compute_ms = 0.0
    for cost in costs:
        tops = _rate(profile, processor, cost.arithmetic(precision), machine)
        if tops is None:
            return None
        arithmetic_ms = 2 * cost.macs / (tops * 1e9)
        memory_ms = 0.0
        if profile.memory_gb_s is not None:
            memory_ms = cost.bytes_moved(precision) / (profile.memory_gb_s * 1e6)
        limit_ms += max(arithmetic_ms, memory_ms)
        if arithmetic_ms >= memory_ms:
            compute_ms += arithmetic_ms
    return Limit(limit_ms, compute_ms / limit_ms) if limit_ms > 0 else None


def measured_roofline(
    costs: Sequence[LayerCost] | None,
    profile: DeviceProfile | None,
    target: str,
    precision: str,
    machine: Machine,
    infer_ms: float | None,
) -> Roofline:
    """Return the limit of a measured target, and the share of it that the median inference reached."""
    processor = None if profile is None else profile.processor(processor_kind(target))
    if costs is None or profile is None or processor is None:
        return Roofline()
    limit = network_limit(costs, profile, processor, precision, machine)
    if limit is None:
        return Roofline(profile=profile.name)
    return Roofline(
        limit_ms=round(limit.limit_ms, 4),
        share=None if not infer_ms else round(limit.limit_ms / infer_ms, 4),
        profile=profile.name,
        compute_bound=round(limit.compute_bound, 4),
    )


def estimates(costs: Sequence[LayerCost], profiles: Iterable[DeviceProfile], device: str) -> list[Estimate]:
    """Return the roofline times of devices for what ``bench --device`` would measure there.

    ``cpu`` means every processor of every profile, ``jetson`` the GPUs of Jetsons, ``jetson:dla0`` their DLAs,
    the name of a CPU runtime the CPUs. Profiles of a kind of core, not of a device, have no time of their own.
    """
    found = []
    for profile in profiles:
        if profile.is_generic:
            continue
        for processor in profile.processors:
            target = _target_name(processor.kind)
            if device != "cpu" and processor.kind != processor_kind(device):
                continue
            for precision in ("fp32", "fp16", "int8"):
                if precision == "fp16" and processor.kind != "gpu":
                    continue  # no other target measures it
                if precision == "fp32" and processor.kind == "dla":
                    continue
                limit = network_limit(costs, profile, processor, precision)
                found.append(
                    Estimate(
                        mark=MARK,
                        device=profile.name,
                        title=profile.title,
                        target=target,
                        processor=processor.kind,
                        precision=precision,
                        limit_ms=None if limit is None else round(limit.limit_ms, 4),
                        compute_bound=None if limit is None else round(limit.compute_bound, 4),
                        macs=sum(cost.macs for cost in costs),
                        power_mode=profile.power_mode,
                        basis=processor.basis,
                        source=processor.source,
                    )
                )
    return found


def processor_kind(target: str) -> str:
    """Return the kind of processor that a target runs on: ``gpu``, ``dla``, ``npu`` or ``cpu``."""
    name, _, part = target.lower().partition(":")
    if name == "jetson":
        return "dla" if part.startswith("dla") else "gpu"
    return part.rstrip("0123456789.") or "cpu"


def _target_name(kind: str) -> str:
    return {"gpu": "jetson", "dla": "jetson:dla0", "cpu": "cpu"}[kind]


def _rate(profile: DeviceProfile, processor: Processor, precision: str, machine: Machine | None) -> float | None:
    """Return tera-operations per second for a precision, from the fallback where the processor has none."""
    tops = processor.tops(precision)
    if tops is None and processor.fallback is not None:
        other = profile.processor(processor.fallback)
        tops = None if other is None else other.tops(precision)
    if tops is None or processor.kind != "cpu":
        return tops
    if processor.per_core_and_ghz:
        if machine is None or machine.cpu_mhz is None:
            return None
        return tops * 1e-3 * machine.cores * machine.cpu_mhz * 1e-3
    if machine is not None and processor.cores is not None:
        return tops * min(machine.cores, processor.cores) / processor.cores
    return tops
