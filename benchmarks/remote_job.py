"""The job on the other machine: run the benchmark that ``job.json`` describes, leave a result and a status.

``Job`` is what is sent; paths in it are relative to the session's folder.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import edge_iqa
from edge_iqa.benchmarks.pictures import BenchPicture, PictureSet
from edge_iqa.benchmarks.report_files import json_text
from edge_iqa.benchmarks.run import BenchOutcome, BenchRequest, run_bench
from edge_iqa.errors import EdgeIqaError, HostDiskFull, RemoteRunFailed
from edge_iqa.spec import from_document

DATA_ARCHIVE, DATA, JOB, BUNDLE = "data.zip", "data", "job.json", "data/bundle.eiqa"
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_STATUS, _RESULT = "status.json", "result.json"
_LOCAL_ONLY = ("bundle", "images", "picture_set", "teacher", "opinions")


@dataclass(frozen=True)
class Job:
    """A benchmark to run elsewhere: the request without what is only on this side, and the pictures."""

    request: dict[str, Any]
    source: str
    pictures_sha256: str
    pictures: tuple[BenchPicture, ...]


@dataclass(frozen=True)
class JobStatus:
    """How the job ended: an error, or the sha256 of the result and what it held against a clean exit."""

    error: dict[str, str] | None = None
    result_sha256: str | None = None
    result_bytes: int = 0
    missed: tuple[str, ...] = ()
    without_file: tuple[str, ...] = ()
    refused: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)


def request_document(request: BenchRequest) -> dict[str, Any]:
    """Return the part of a request that the other machine needs, as plain data."""
    document = dataclasses.asdict(
        dataclasses.replace(request, bundle=None, images=None, picture_set=None, teacher=None, opinions=())
    )
    return {key: value for key, value in document.items() if key not in _LOCAL_ONLY}


def read_job(document: object, session: Path) -> BenchRequest:
    """Return the request of a job, its paths made absolute; raises InvalidInput."""
    job = from_document(Job, document, JOB)
    pictures = tuple(dataclasses.replace(entry, path=str(session / DATA / entry.path)) for entry in job.pictures)
    return dataclasses.replace(
        from_document(BenchRequest, {**job.request, "bundle": None}, "request"),
        bundle=session / BUNDLE,
        picture_set=PictureSet(job.source, pictures, (), job.pictures_sha256),
    )


def run_job(session: Path) -> JobStatus:
    """Run the job in ``session`` and write its result."""
    try:
        with zipfile.ZipFile(session / DATA_ARCHIVE) as archive:
            archive.extractall(session / DATA)
        request = read_job(json.loads((session / JOB).read_bytes()), session)
        outcome = run_bench(request)
        content = json_text(outcome.result).encode()
        (session / _RESULT).write_bytes(content)
    except EdgeIqaError as error:
        return JobStatus(error=error_document(error))
    except Exception as error:  # whatever goes wrong here must reach the other side as words
        return JobStatus(error=error_document(_as_remote_error(error)))
    return _status_of(outcome, content)


def error_document(error: EdgeIqaError) -> dict[str, str]:
    """Return an error as plain data that ``error_from`` reads."""
    return {"code": error.code, "what": error.what, "why": error.why, "fix": error.fix}


def error_from(document: Mapping[str, str]) -> EdgeIqaError:
    """Return the error that another machine reported; an unknown code becomes RemoteRunFailed."""
    from edge_iqa.errors import all_errors

    kinds: dict[str, type[EdgeIqaError]] = {kind.code: kind for kind in all_errors()}
    kind = kinds.get(document.get("code", ""), RemoteRunFailed)
    return kind(document.get("what", "It gave no reason"), why=document.get("why", ""), fix=document.get("fix", ""))


def _as_remote_error(error: Exception) -> EdgeIqaError:
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        return HostDiskFull("The disk there is full", why=str(error), fix="free some space there, or --host-folder")
    return RemoteRunFailed("The benchmark there met a fault", why=f"{type(error).__name__}: {error}"[:500])


def _status_of(outcome: BenchOutcome, content: bytes) -> JobStatus:
    return JobStatus(
        result_sha256=hashlib.sha256(content).hexdigest(),
        result_bytes=len(content),
        missed=tuple(outcome.missed),
        without_file=tuple(sorted(outcome.without_file)),
        refused={label: error_document(error) for label, error in outcome.refused.items()},
    )


def main() -> None:
    session = Path(sys.argv[1])
    print(f"running edge-iqa {edge_iqa.__version__} from {Path(edge_iqa.__file__).parent}", flush=True)
    status = json.dumps(dataclasses.asdict(run_job(session)))
    temporary = session / f"{_STATUS}.part"
    temporary.write_text(status, encoding="utf-8")
    os.replace(temporary, session / _STATUS)


if __name__ == "__main__":
    main()
