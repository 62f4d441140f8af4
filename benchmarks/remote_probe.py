"""Sent to another machine before anything else, as ``python3 -c``: what Python, packages and room there are.

Arguments: the folder to work in, the session's folder inside it. Prints one line of JSON. Written so that any
Python understands it; nothing is imported from edge_iqa.
"""

import errno
import json
import os
import platform
import stat
import sys


def probe(folder, session):  # type: ignore[no-untyped-def]
    """Make the folders and return the facts as a dict of plain values.

    Raises OSError where the session's folder is a link, or another user could put links or files into it.
    """
    try:
        from importlib.util import find_spec
    except ImportError:  # Python 2
        return {"python": platform.python_version(), "usable": False, "missing": []}
    wanted = ["numpy", "cv2", "onnxruntime"]
    if sys.version_info < (3, 11):
        wanted.append("tomli")
    path = os.path.join(folder, session)
    os.makedirs(path, mode=0o700, exist_ok=True)
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise OSError(errno.EPERM, "not a folder that this user alone may write to", path)
    room = os.statvfs(path)
    return {
        "python": platform.python_version(),
        "usable": sys.version_info >= (3, 10),
        "missing": [name for name in wanted if find_spec(name) is None],
        "free_bytes": room.f_bavail * room.f_frsize,
        "present": {name: os.path.getsize(os.path.join(path, name)) for name in os.listdir(path)},
    }


if __name__ == "__main__":
    try:
        print(json.dumps(probe(sys.argv[1], sys.argv[2])))  # type: ignore[no-untyped-call]
    except OSError as error:
        print(json.dumps({"error": str(error), "number": error.errno}))
