"""Device memory, copies and streams on CUDA, through ctypes on the runtime library that JetPack installs.

ctypes rather than a Python package: libcudart comes with every JetPack and every CUDA installation, while
``cuda-python`` has to match the CUDA version and is not part of JetPack. Eight functions are needed, and
their binary interface has not changed from CUDA 11 to 13. They are declared below with their types, so that
no pointer is cut to 32 bits.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from edge_iqa.errors import DeviceUnavailable

LIBRARY_NAMES = ("libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0", "libcudart.so")
LIBRARY_FOLDERS = ("", "/usr/local/cuda/lib64/", "/usr/local/cuda/targets/aarch64-linux/lib/")
_HOST_TO_DEVICE = 1
_DEVICE_TO_HOST = 2
_COMPUTE_CAPABILITY_MAJOR = 75
_COMPUTE_CAPABILITY_MINOR = 76
_PROPERTIES_BYTES = 16384  # cudaDeviceProp is about 1 KB; its first 256 bytes are the name in every version
_INSTALL = "on a Jetson: sudo apt install nvidia-jetpack; elsewhere: install NVIDIA's driver and CUDA runtime"

_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cudaMalloc": (ctypes.POINTER(ctypes.c_void_p), ctypes.c_size_t),
    "cudaFree": (ctypes.c_void_p,),
    "cudaMemcpyAsync": (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p),
    "cudaStreamCreate": (ctypes.POINTER(ctypes.c_void_p),),
    "cudaStreamSynchronize": (ctypes.c_void_p,),
    "cudaStreamDestroy": (ctypes.c_void_p,),
    "cudaGetDeviceCount": (ctypes.POINTER(ctypes.c_int),),
    "cudaDeviceGetAttribute": (ctypes.POINTER(ctypes.c_int), ctypes.c_int, ctypes.c_int),
}


class CudaRuntime:
    """The CUDA runtime on device 0; addresses and streams are plain integers, as TensorRT takes them.

    ``library`` replaces the library that is found on the machine. Raises DeviceUnavailable where there is no
    library, no driver or no device; every later failure of CUDA raises it too, naming the function and CUDA's
    own words.
    """

    def __init__(self, library: Any = None) -> None:
        self._library = _find_library() if library is None else library
        for name, types in _SIGNATURES.items():
            getattr(self._library, name).argtypes = types
        count = ctypes.c_int(0)
        self._call("cudaGetDeviceCount", ctypes.byref(count))
        if count.value < 1:
            raise DeviceUnavailable("There is no CUDA device", why="CUDA counts 0 devices", fix=_INSTALL)

    def device_name(self) -> str:
        """Return the GPU's name, such as ``Orin``."""
        # CUDA 12 has a second name for its larger struct; other versions may lack that one.
        name = "cudaGetDeviceProperties_v2"
        if not hasattr(self._library, name):
            name = "cudaGetDeviceProperties"
        properties = ctypes.create_string_buffer(_PROPERTIES_BYTES)
        self._call(name, properties, ctypes.c_int(0))
        return properties.value.decode("utf-8", "replace")

    def compute_capability(self) -> str:
        """Return the compute capability, such as ``8.7`` for Orin."""
        parts = []
        for attribute in (_COMPUTE_CAPABILITY_MAJOR, _COMPUTE_CAPABILITY_MINOR):
            value = ctypes.c_int(0)
            self._call("cudaDeviceGetAttribute", ctypes.byref(value), attribute, 0)
            parts.append(str(value.value))
        return ".".join(parts)

    def allocate(self, size_bytes: int) -> int:
        """Return the address of new device memory; ``free`` gives it back."""
        address = ctypes.c_void_p(None)
        self._call("cudaMalloc", ctypes.byref(address), size_bytes)
        return int(address.value or 0)

    def free(self, address: int) -> None:
        """Give device memory back."""
        self._call("cudaFree", address)

    def create_stream(self) -> int:
        """Return a new stream's handle; ``destroy_stream`` ends it."""
        stream = ctypes.c_void_p(None)
        self._call("cudaStreamCreate", ctypes.byref(stream))
        return int(stream.value or 0)

    def destroy_stream(self, stream: int) -> None:
        """End a stream."""
        self._call("cudaStreamDestroy", stream)

    def synchronize(self, stream: int) -> None:
        """Wait until everything on ``stream`` is done; failures of a kernel come up here."""
        self._call("cudaStreamSynchronize", stream)

    def copy_to_device(self, address: int, source: NDArray[Any], stream: int) -> None:
        """Start copying a C-contiguous array to device memory; ``source`` must live until ``synchronize``."""
        self._copy(address, source.ctypes.data, source, _HOST_TO_DEVICE, stream)

    def copy_to_host(self, target: NDArray[Any], address: int, stream: int) -> None:
        """Start copying device memory into a C-contiguous array."""
        self._copy(target.ctypes.data, address, target, _DEVICE_TO_HOST, stream)

    def _copy(self, target: int, source: int, array: NDArray[Any], kind: int, stream: int) -> None:
        if not array.flags.c_contiguous:
            raise ValueError("CUDA copies need a C-contiguous array")
        self._call("cudaMemcpyAsync", target, source, array.nbytes, kind, stream)

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._library, name)(*arguments)
        if status != 0:
            fix = _INSTALL if name == "cudaGetDeviceCount" else "end other programs on the GPU and try again"
            raise DeviceUnavailable(f"CUDA refused {name}", why=self._words(status), fix=fix)

    def _words(self, status: int) -> str:
        describe = getattr(self._library, "cudaGetErrorString", None)
        if describe is None:
            return f"error {status}"
        describe.restype = ctypes.c_char_p
        text = describe(ctypes.c_int(status)) or b"unknown"
        return f"error {status}: {text.decode('utf-8', 'replace')}"


def _find_library() -> Any:
    present = []
    for folder in LIBRARY_FOLDERS:
        for name in LIBRARY_NAMES:
            if folder and not Path(folder, name).exists():
                continue
            try:
                return ctypes.CDLL(folder + name)
            except OSError as error:
                if folder:
                    present.append(f"{folder}{name}: {error}")
    absent = f"none of {', '.join(LIBRARY_NAMES)} is on the library path or in /usr/local/cuda"
    why = present[0] if present else absent
    raise DeviceUnavailable("The CUDA runtime library cannot be loaded", why=why, fix=_INSTALL)
