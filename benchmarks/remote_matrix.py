"""The same benchmark on several machines at once; what one of them cannot do does not stop the others."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from edge_iqa.benchmarks.remote import bench_remotely, say_to_stderr
from edge_iqa.benchmarks.run import BenchOutcome, BenchRequest
from edge_iqa.devices.hosts import HostSpec
from edge_iqa.errors import EdgeIqaError


def bench_matrix(hosts: Mapping[str, HostSpec], request: BenchRequest) -> dict[str, BenchOutcome | EdgeIqaError]:
    """Return the outcome or the error of each machine, in the order of ``hosts``.

    A machine with a ``device`` of its own is measured on that. An interrupt ends the jobs on all of them.
    """
    cancelled = threading.Event()

    def one(name: str, host: HostSpec) -> BenchOutcome:
        speak = say_to_stderr(name)

        def say(line: str) -> None:
            if cancelled.is_set():
                raise KeyboardInterrupt
            speak(line)

        return bench_remotely(host, dataclasses.replace(request, device=host.device or request.device), say, name)

    with ThreadPoolExecutor(max_workers=len(hosts)) as pool:
        running = {name: pool.submit(one, name, host) for name, host in hosts.items()}
        try:
            return {name: _settled(future) for name, future in running.items()}
        except KeyboardInterrupt:
            cancelled.set()
            raise


def _settled(future: Future[BenchOutcome]) -> BenchOutcome | EdgeIqaError:
    try:
        return future.result()
    except EdgeIqaError as error:
        return error
