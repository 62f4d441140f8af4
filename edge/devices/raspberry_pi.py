"""The Raspberry Pi's firmware: what it says of throttling and under-voltage (``vcgencmd get_throttled``).

The bits: www.raspberrypi.com/documentation/computers/os.html#get_throttled.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from edge_iqa.devices.sysfs import read_text

# Newer kernels show the same number, so that no program need be run each second.
_FIRMWARE_FILE = Path("devices/platform/soc/soc:firmware/get_throttled")
_NOW = {
    0: "the supply voltage is too low",
    1: "the clock is capped",
    2: "the processor is throttled",
    3: "the soft temperature limit is reached",
}
_SINCE_BOOT_SHIFT = 16


@dataclass(frozen=True)
class PiThrottling:
    """What holds now, and what has been so since the start of the system, as sentences."""

    now: tuple[str, ...]
    since_boot: tuple[str, ...]


def parse_throttled(text: str) -> PiThrottling | None:
    """Return what ``throttled=0x50005`` or a bare ``50005`` (hexadecimal, as sysfs has it) means, else None."""
    found = re.fullmatch(r"(?:throttled=)?(?:0x)?([0-9a-fA-F]{1,8})", text.strip())
    if found is None:
        return None
    bits = int(found[1], 16)
    return PiThrottling(
        now=tuple(meaning for bit, meaning in _NOW.items() if bits >> bit & 1),
        since_boot=tuple(meaning for bit, meaning in _NOW.items() if bits >> (bit + _SINCE_BOOT_SHIFT) & 1),
    )


def read_throttled(system: Path) -> PiThrottling | None:
    """Return the firmware's word, from sysfs or else ``vcgencmd``; None where this is no Raspberry Pi."""
    text = read_text(system / _FIRMWARE_FILE)
    if text is None:
        program = shutil.which("vcgencmd")
        if program is None:
            return None
        try:
            done = subprocess.run([program, "get_throttled"], capture_output=True, text=True, timeout=5, check=False)
        except (OSError, subprocess.SubprocessError):
            return None
        text = done.stdout
    return parse_throttled(text)
