"""Sent to another machine as ``python3 -c``: takes a file from stdin, from where an earlier attempt stopped.

Arguments: the path, the number of bytes of the whole file. Prints how many bytes are there already, reads the rest
from stdin, and prints one line of JSON. Nothing is imported from edge_iqa.
"""

import hashlib
import json
import os
import sys

THERE = "edge-iqa has "  # a shell's start-up file may print words of its own before
CHUNK_BYTES = 1 << 20


def receive(path: str, size_bytes: int) -> dict[str, object]:
    """Append what comes from stdin; return size and sha256 of the file as it is then."""
    there = os.path.getsize(path) if os.path.exists(path) else 0
    if there > size_bytes:
        os.remove(path)
        there = 0
    sys.stdout.write(f"{THERE}{there}\n")
    sys.stdout.flush()
    with open(path, "ab", buffering=0) as file:
        while True:
            chunk = sys.stdin.buffer.read(CHUNK_BYTES)
            if not chunk:
                break
            view = memoryview(chunk)
            while view:
                view = view[file.write(view) :]
    digest = hashlib.sha256()
    with open(path, "rb") as written:
        while True:
            chunk = written.read(CHUNK_BYTES)
            if not chunk:
                break
            digest.update(chunk)
    return {"size": os.path.getsize(path), "sha256": digest.hexdigest()}


if __name__ == "__main__":
    try:
        answer = receive(sys.argv[1], int(sys.argv[2]))
    except OSError as error:
        answer = {"error": str(error), "number": error.errno}
    print(json.dumps(answer))
