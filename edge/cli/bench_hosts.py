"""``edge-iqa bench --host`` and ``--hosts``: the same bench on other machines."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_iqa.benchmarks.run import BenchOutcome, BenchRequest
    from edge_iqa.cli.bench_outputs import BenchOutputs


@dataclass(frozen=True)
class HostOptions:
    """What the command line says of other machines: one by ``host``, or a file of several."""

    host: str | None
    hosts: Path | None
    python: str
    folder: str | None
    ssh_config: Path | None

    def check(self) -> None:
        """Raise InvalidInput for both at once."""
        from edge_iqa.errors import InvalidInput

        if self.host is not None and self.hosts is not None:
            raise InvalidInput("--host and --hosts exclude each other")


def bench_one_host(options: HostOptions, request: BenchRequest) -> BenchOutcome:
    """Measure on the machine of ``--host``."""
    from edge_iqa.benchmarks.remote import bench_remotely, say_to_stderr
    from edge_iqa.devices.hosts import DEFAULT_FOLDER, HostSpec, parse_address

    assert options.host is not None
    ssh_config = None if options.ssh_config is None else str(options.ssh_config)
    spec = HostSpec(options.host, None, options.python, options.folder or DEFAULT_FOLDER, ssh_config)
    return bench_remotely(spec, request, say_to_stderr(parse_address(options.host).name))


def bench_all_hosts(options: HostOptions, request: BenchRequest, outputs: BenchOutputs) -> None:
    """Measure on every machine of ``--hosts``; each writes its own files.

    Raises the first problem once all are done.
    """
    from edge_iqa.benchmarks.remote_matrix import bench_matrix
    from edge_iqa.cli.bench_outputs import show
    from edge_iqa.devices.hosts import read_hosts
    from edge_iqa.errors import EdgeIqaError

    assert options.hosts is not None
    hosts = read_hosts(options.hosts)
    for name in hosts:
        outputs.named(name).check()
    outcomes = bench_matrix(hosts, request)
    problems: list[EdgeIqaError] = []
    for name, outcome in outcomes.items():
        if isinstance(outcome, EdgeIqaError):
            print(f"{name}: {outcome}", file=sys.stderr)
            problems.append(outcome)
            continue
        outputs.named(name).write(outcome)
        print(f"{name}: {outcome.result.host.board or outcome.result.host.cpu_model or ''}")
        show(outcome)
        try:
            outcome.raise_problems()
        except EdgeIqaError as error:
            problems.append(error)
    if problems:
        raise problems[0]
