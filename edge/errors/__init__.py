"""Every error the tool raises on purpose: one tree, each class with a code, an exit status and an explanation.

EdgeIqaError
├── InvalidInput            E100  wrong use: an argument, a spec, a value            exit 2
│   ├── UnknownKey          E101  a specification holds a key this version does not know
│   ├── DatasetError        E102  a table of scores or pairs cannot be read
│   │   └── DatasetLayout   E103  a folder is not the published dataset it is said to be
│   ├── PolicyError         E260  a policy for keeping frames does not make sense
│   ├── RecordedScoresError E261  a scores.jsonl to replay cannot be read
│   ├── SinkError           E262  a place for frames, scores or messages cannot be used
│   ├── AddressError        E264  an address to serve on is refused, or taken
│   ├── ResultsDiffer       E328  two results are of different bundles or pictures
│   └── ResultRefused       E329  a file is not a result of this version's bench
├── ImageError              E200  one picture cannot be scored                       exit 3
│   ├── ImageNotFound       E201
│   ├── ImageUnreadable     E202  no permission, a directory, a device
│   ├── ImageFormat         E203  not a picture format the tool accepts
│   ├── ImageCorrupt        E204  header fine, data broken or cut short
│   └── ImageTooLarge       E205  more pixels or bytes than the limit
├── CameraError             E250  a camera or video cannot be opened or has stopped  exit 4
│   ├── CameraNotFound      E251  no such file, device or stream
│   ├── CameraRefused       E252  nothing answers at that address
│   ├── CameraUnauthorised  E253  the camera wants a login, or another one
│   ├── CameraUnresolved    E254  the host's name is not known (DNS)
│   ├── CameraCodec         E255  something answers, but it is not video that can be decoded
│   ├── CameraStalled       E256  no frame for too long
│   ├── CameraBusy          E257  another program has the device, or it is not allowed
│   ├── CameraGone          E258  the connection was lost
│   └── PipelineFailed      E259  a GStreamer pipeline does not start or has stopped
├── MissingDependency       E300  a package is not installed                         exit 4
├── DeviceUnavailable       E301  this machine lacks the device or its runtime       exit 4
├── RemoteError             E320  another machine could not be worked on             exit 4
│   ├── HostUnreachable     E321  nothing answers there, or its name is not known
│   ├── HostKeyRefused      E322  its host key is not known, or not the one it had
│   ├── HostLoginRefused    E323  it does not accept the login
│   ├── ConnectionLost      E324  the line dropped and could not be made again
│   ├── HostUnprepared      E325  it lacks Python or a package that the runner needs
│   ├── HostDiskFull        E326  it has no room for the bundle and the pictures
│   └── RemoteRunFailed     E327  the benchmark there ended without a result
├── WeightsMissing          E400  pretrained weights that training starts from are not at hand  exit 4
├── ResumeRefused           E401  a checkpoint is of another run                     exit 2
├── BundleRefused           E500  a bundle is broken, altered or from a newer version  exit 5
│   ├── BundleBroken        E503  not a whole, plain zip: cut short, with bytes added, encrypted
│   ├── BundleAltered       E504  a file is missing, added or has another sha256 than the manifest says
│   ├── BundleUnsafe        E505  a name, link or special file that no bundle may hold
│   ├── BundleTooLarge      E506  it is, or unpacks to, more bytes than allowed
│   ├── ManifestRefused     E507  the manifest is missing, unreadable or of another schema
│   └── GoldenRefused       E508  the golden pictures or what is expected of them cannot be used
├── ModelRefused            E501  a checkpoint or graph does not fit the network     exit 5
│   └── GraphUnsupported    E502  an operator the target cannot express
├── BackendMismatch         E510  a runtime gave something other than the contract   exit 5
└── BarMissed               E600  a measured value is outside the declared budget    exit 1

A class docstring is the text that ``edge-iqa explain CODE`` prints.
"""

from __future__ import annotations

from collections.abc import Iterator

from edge_iqa.errors.base import (
    BarMissed,
    DatasetError,
    DatasetLayout,
    DeviceUnavailable,
    EdgeIqaError,
    InvalidInput,
    MissingDependency,
    UnknownKey,
)
from edge_iqa.errors.camera import (
    AddressError,
    CameraBusy,
    CameraCodec,
    CameraError,
    CameraGone,
    CameraNotFound,
    CameraRefused,
    CameraStalled,
    CameraUnauthorised,
    CameraUnresolved,
    PipelineFailed,
    PolicyError,
    RecordedScoresError,
    SinkError,
)
from edge_iqa.errors.image import (
    ImageCorrupt,
    ImageError,
    ImageFormat,
    ImageNotFound,
    ImageTooLarge,
    ImageUnreadable,
)
from edge_iqa.errors.model import (
    BackendMismatch,
    BundleAltered,
    BundleBroken,
    BundleRefused,
    BundleTooLarge,
    BundleUnsafe,
    GoldenRefused,
    GraphUnsupported,
    ManifestRefused,
    ModelRefused,
    ResumeRefused,
    WeightsMissing,
)
from edge_iqa.errors.remote import (
    ConnectionLost,
    HostDiskFull,
    HostKeyRefused,
    HostLoginRefused,
    HostUnprepared,
    HostUnreachable,
    RemoteError,
    RemoteRunFailed,
    ResultRefused,
    ResultsDiffer,
)

__all__ = [
    "AddressError",
    "BackendMismatch",
    "BarMissed",
    "BundleAltered",
    "BundleBroken",
    "BundleRefused",
    "BundleTooLarge",
    "BundleUnsafe",
    "CameraBusy",
    "CameraCodec",
    "CameraError",
    "CameraGone",
    "CameraNotFound",
    "CameraRefused",
    "CameraStalled",
    "CameraUnauthorised",
    "CameraUnresolved",
    "ConnectionLost",
    "DatasetError",
    "DatasetLayout",
    "DeviceUnavailable",
    "EdgeIqaError",
    "GoldenRefused",
    "GraphUnsupported",
    "HostDiskFull",
    "HostKeyRefused",
    "HostLoginRefused",
    "HostUnprepared",
    "HostUnreachable",
    "ImageCorrupt",
    "ImageError",
    "ImageFormat",
    "ImageNotFound",
    "ImageTooLarge",
    "ImageUnreadable",
    "InvalidInput",
    "ManifestRefused",
    "MissingDependency",
    "ModelRefused",
    "PipelineFailed",
    "PolicyError",
    "RecordedScoresError",
    "RemoteError",
    "RemoteRunFailed",
    "ResultRefused",
    "ResultsDiffer",
    "ResumeRefused",
    "SinkError",
    "UnknownKey",
    "WeightsMissing",
    "all_errors",
]


def all_errors(base: type[EdgeIqaError] = EdgeIqaError) -> Iterator[type[EdgeIqaError]]:
    """Yield every error class below ``base``, parents first."""
    for child in base.__subclasses__():
        yield child
        yield from all_errors(child)
