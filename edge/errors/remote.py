"""Other machines, and the results of benches."""

from __future__ import annotations

from edge_iqa.errors.base import EdgeIqaError, InvalidInput


class RemoteError(EdgeIqaError):
    """Another machine (``--host``, ``--hosts``) could not be worked on.

    The system's ssh is used with ``BatchMode=yes`` and ``StrictHostKeyChecking=yes``: it never asks for a password
    and never accepts an unknown host key. Try ``ssh -o BatchMode=yes USER@HOST true`` first.
    """

    code = "E320"
    exit_code = 4


class HostUnreachable(RemoteError):
    """Nothing answers at the host's address and port, or its name is not known.

    Look at the spelling, the port (``user@host:port``), the cable, and whether sshd runs there.
    """

    code = "E321"


class HostKeyRefused(RemoteError):
    """The host's key is not in ``known_hosts``, or is not the one that is there.

    Nothing was sent. A key is never accepted unseen: log in once by hand (``ssh USER@HOST``) and compare the
    fingerprint with what ``ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`` prints on the device. Where a key has
    changed and nobody has set the device up anew, somebody may be between you and it.
    """

    code = "E322"


class HostLoginRefused(RemoteError):
    """The host does not accept the login with a key; a password is never asked for.

    Put your public key there (``ssh-copy-id USER@HOST``) and load the private one into an agent if it has a
    passphrase.
    """

    code = "E323"


class ConnectionLost(RemoteError):
    """The connection dropped and could not be made again for a while.

    The measurement goes on there by itself. The same command continues where it was: what was sent is not sent
    again, and a finished result is fetched.
    """

    code = "E324"


class HostUnprepared(RemoteError):
    """The host lacks what the pushed runner needs: Python 3.10 or newer with numpy, OpenCV and ONNX Runtime.

    edge-iqa itself need not be installed there. ``python`` in the file of ``--hosts``, or ``--host-python``, names
    the interpreter of a virtual environment, for instance ``/home/user/bench/bin/python``.
    """

    code = "E325"


class HostDiskFull(RemoteError):
    """The host's disk has no room for the runner, the bundle and the pictures.

    What was sent so far was removed. Free some space, send fewer pictures (``--drift-images``), or name another
    folder there with ``folder`` in the file of ``--hosts`` or ``--host-folder``.
    """

    code = "E326"


class RemoteRunFailed(RemoteError):
    """The runner on the host ended without a result: it was killed, or it met a fault.

    The last lines of its log are in the message. A device that runs out of memory kills the largest process;
    ``dmesg`` there tells.
    """

    code = "E327"


class ResultsDiffer(InvalidInput):
    """Two results are of different bundles or of different pictures.

    A difference in time or drift would then say nothing about the runtime or the device. ``--allow-different``
    compares them all the same, and the output says what differs.
    """

    code = "E328"


class ResultRefused(InvalidInput):
    """A file is not a result that this version of ``edge-iqa bench --json`` writes.

    Its ``schema_version`` tells which version wrote it; a key that is missing, added or of another type is refused
    too, because a number read wrongly is worse than none.
    """

    code = "E329"
