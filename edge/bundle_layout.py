"""The zip structure of a bundle: members one after another, then the directory, then the end, and nothing else.

Zip readers look for the directory from the end and go where it points, so that bytes before, between and after
the members are ignored, and two readers may see two archives in one file. A bundle has one meaning only.
"""

from __future__ import annotations

import struct
import zipfile

_LOCAL = struct.Struct("<4s2x2H16x2H")  # signature, flags, method, lengths of name and extra field
_LOCAL_BYTES = 30
_END = struct.Struct("<4s4H2LH")
_ENCRYPTED, _DESCRIPTOR, _UTF8 = 0x1, 0x8, 0x800


def check_layout(archive: zipfile.ZipFile, content: bytes) -> str:
    """Return what is wrong with the structure of the zip file ``content``, or an empty text."""
    members = sorted(archive.infolist(), key=lambda info: info.header_offset)
    position = 0
    for info in members:
        if info.header_offset != position:
            return f"there are bytes that belong to no file at {min(position, info.header_offset)}"
        problem, header_bytes = _check_local_header(info, content)
        if problem:
            return problem
        position += header_bytes + info.compress_size
    return _check_end(len(members), position, content)


def _check_local_header(info: zipfile.ZipInfo, content: bytes) -> tuple[str, int]:
    """Return what is wrong with a member's own header, or an empty text, and the header's length in bytes."""
    if info.header_offset + _LOCAL_BYTES > len(content):
        return f"{info.filename!r} lies beyond the end", 0
    signature, flags, method, name_bytes, extra_bytes = _LOCAL.unpack_from(content, info.header_offset)
    if signature != b"PK\x03\x04":
        return f"{info.filename!r} has no header", 0
    if flags & _ENCRYPTED:
        return f"{info.filename!r} is encrypted", 0
    if flags & _DESCRIPTOR or extra_bytes or info.extra or info.comment:
        return f"{info.filename!r} has fields that no bundle has", 0
    start = info.header_offset + _LOCAL_BYTES
    encoding = "utf-8" if info.flag_bits & _UTF8 else "cp437"
    if content[start : start + name_bytes] != info.orig_filename.encode(encoding, "replace"):
        return f"{info.filename!r} has another name in its own header", 0
    if flags != info.flag_bits or method != info.compress_type:
        return f"{info.filename!r} has other flags in its own header", 0
    return "", _LOCAL_BYTES + name_bytes


def _check_end(members: int, position: int, content: bytes) -> str:
    """Return what is wrong with the end record; ``position`` is where the directory must start."""
    if len(content) < _END.size:
        return "it is too short"
    values = _END.unpack_from(content, len(content) - _END.size)
    signature, disk, first_disk, entries_here, entries, directory_bytes, directory, comment_bytes = values
    if signature != b"PK\x05\x06" or comment_bytes:
        return "there are bytes after its end"
    if (disk, first_disk, entries_here, entries) != (0, 0, members, members):
        return f"its end tells of {entries} files, its directory of {members}"
    if directory != position:
        return f"there are bytes that belong to no file at {min(position, directory)}"
    if directory + directory_bytes + _END.size != len(content):
        return "there are bytes between its directory and its end"
    return ""
