"""Several scorers at work at once, each in a thread of its own: how many pictures a second a process scores."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def run_streams(scorers: Sequence[Any], pictures: Sequence[NDArray[np.uint8]], min_seconds: float) -> tuple[int, float]:
    """Score decoded ``pictures`` in turn on every scorer at once; return pictures scored and seconds passed.

    No scorer starts a picture after ``min_seconds``; the seconds last until the last picture is done. Raises
    what a scorer raises.
    """
    counts = [0] * len(scorers)
    failures: list[BaseException] = []
    ready = threading.Barrier(len(scorers) + 1)
    end_s = [0.0]

    def work(number: int) -> None:
        ready.wait()
        try:
            index = number  # so that the streams do not all score the same picture at once
            while time.perf_counter() < end_s[0]:
                scorers[number](pictures[index % len(pictures)])
                counts[number] += 1
                index += 1
        except BaseException as error:  # raised again in the caller's thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(scorers))]
    for thread in threads:
        thread.start()
    start_s = time.perf_counter()
    end_s[0] = start_s + min_seconds
    ready.wait()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return sum(counts), time.perf_counter() - start_s
