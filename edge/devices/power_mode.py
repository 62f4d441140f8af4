"""The power mode that a device is in: ``nvpmodel`` on a Jetson, the platform profile on a PC.

docs.nvidia.com/jetson/archives/r36.4/DeveloperGuide/SD/PlatformPowerAndPerformance/JetsonOrinNanoSeriesJetsonOrinNxSeriesAndJetsonAgxOrinSeries.html
and www.kernel.org/doc/html/latest/userspace-api/sysfs-platform_profile.html.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from edge_iqa.devices.sysfs import read_text

_MODE = re.compile(r"^NV Power Mode:\s*(\S.*?)\s*$", re.MULTILINE)


def parse_nvpmodel(text: str) -> str | None:
    """Return the mode's name in what ``nvpmodel -q`` prints, or None."""
    found = _MODE.search(text)
    return found[1] if found else None


def read_power_mode(system: Path) -> str | None:
    """Return the power mode's name; None where the device has none or does not tell."""
    program = shutil.which("nvpmodel")
    if program is None:
        return read_text(system / "firmware" / "acpi" / "platform_profile")
    try:
        done = subprocess.run([program, "-q"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_nvpmodel(done.stdout)
