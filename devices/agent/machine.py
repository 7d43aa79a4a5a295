"""What a device says about itself, and what a process there may do: cores, memory, clock."""

from __future__ import annotations

import os
import platform
import re
import sys
import time
from importlib import metadata
from typing import Any

from .faults import Unavailable
from .kinds import Job

FEATURES = (  # instructions that decide how fast int8 and half precision are, as Linux names them
    "avx2", "avx_vnni", "avx512f", "avx512_vnni", "amx_int8", "asimd", "asimdhp", "asimddp", "i8mm", "sve", "sve2",
)  # fmt: skip
VNNI = {"avx512_vnni", "avx_vnni"}  # x86 instructions that add products of bytes in 32 bits

OF_ARM = (("dot products", "asimddp"), ("half precision", "asimdhp"))  # of bytes; of float16: the flag that says so

WITHOUT_VNNI = {  # runtime: what an x86 processor without those does to files of 8-bit weights
    "onnxruntime": "no VNNI here: ONNX Runtime runs files of 8-bit weights with session.x64quantprecision=1, exact and "
    "slower; without that key they overflow, and a w7a8 file needs none",
    "openvino": "no VNNI here: OpenVINO adds products of bytes in 16 bits, which overflow: files of 8-bit weights may "
    "answer wrongly, w7a8 does not",
}  # fmt: skip


def cpu_name():
    """Return what the processor is called."""
    if "EDGEWRIGHT_CPU" in os.environ:  # set where the processor is emulated
        return os.environ["EDGEWRIGHT_CPU"]
    for path, pattern in (("/proc/cpuinfo", r"model name\s*:\s*(.+)"), ("/proc/device-tree/model", r"([^\x00]+)")):
        found = re.search(pattern, read(path) or "")
        if found:
            return found.group(1).strip()
    return platform.processor() or platform.machine()


def cpu_flags():
    """Return the instructions that the processor announces. Of an emulated one the file shows the host's: none."""
    label = "flags" if is_x86() else "Features"
    found = re.search(label + r"\s*:\s*(.+)", read("/proc/cpuinfo") or "")
    return set(found.group(1).split()) if found and "EDGEWRIGHT_CPU" not in os.environ else set()


def is_x86():
    """Tell if the processor is Intel's or AMD's."""
    return platform.machine() in ("x86_64", "AMD64", "i686")


def lacks_vnni():
    """Tell whether this is an x86 processor that is not known to have VNNI."""
    return is_x86() and not VNNI & cpu_flags()


def lacking():
    """Return what makes int8 or half precision fast on other processors of this kind, and is not known to be here."""
    found, arm = cpu_flags(), platform.machine() in ("aarch64", "arm64")
    lacks = ["VNNI"] if lacks_vnni() else []
    return lacks + [name for name, flag in OF_ARM if arm and found and flag not in found]


def overflowing(spec: Job):
    """Tell if sums of a file's products of bytes may leave 16 bits here: not those of floats or weights of 7 bits."""
    return lacks_vnni() and not str(spec.get("precision") or "").startswith(("float", "w7"))


def pin(cores: Any):
    """Keep this process, and the threads a runtime will start, on `cores`; return where it runs or None.

    cores: a list, None, or how many of the last ones: interrupts tend to land on the first, and big cores come last.
    """
    if cores is None or not hasattr(os, "sched_setaffinity"):
        return None
    if isinstance(cores, int):
        allowed = sorted(os.sched_getaffinity(0))
        if cores > len(allowed):
            raise Unavailable(f"threads={cores}, but the device has only {len(allowed)} cores for us")
        cores = allowed[-cores:]
    os.sched_setaffinity(0, cores)
    return sorted(os.sched_getaffinity(0))


def telemetry(cores: Any):
    """Read load, and clock, governor and temperature where the system shows them; what it hides is left out."""
    core = f"/sys/devices/system/cpu/cpu{cores[0] if cores else 0}/cpufreq/"
    zones = [read(f"/sys/class/thermal/thermal_zone{zone}/temp") for zone in range(8)]
    frequency = read(core + "scaling_cur_freq")
    found = {
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "mhz": int(frequency) / 1000 if frequency else None,
        "governor": read(core + "scaling_governor"),
        "celsius": max((int(zone) / 1000 for zone in zones if zone), default=None),
    }
    return {name: value for name, value in found.items() if value is not None}


def read(path: str):
    """Return the text of a file of the system, or None."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:  # absent, or not for us: the caller leaves the value out
        return None


def start_peak():
    """Start a new peak of resident memory, where the kernel lets us, and return what is resident now, in bytes."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass  # then the peak includes what importing the runtime took: higher, never lower
    return _resident("VmRSS")


def memory_bytes():
    """Return how much memory the device has, or None."""
    total = re.search(r"MemTotal:\s*(\d+) kB", read("/proc/meminfo") or "")
    return 1024 * int(total.group(1)) if total else None


def peak_bytes():
    """Peak of resident memory. Not ru_maxrss where /proc has it: that one inherits the parent's across exec."""
    return _resident("VmHWM")


def _resident(field: str):
    found = re.search(field + r":\s*(\d+) kB", read("/proc/self/status") or "")
    if found:
        return 1024 * int(found.group(1))
    if os.name != "posix":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def involuntary_switches():
    """Return how often this process lost its core to another; 0 where the system does not count."""
    if os.name != "posix":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def microseconds_since(started_ns: int):
    """Return the time since a reading of `perf_counter_ns`."""
    return (time.perf_counter_ns() - started_ns) / 1000


def version(distribution: str):
    """Return the version of an installed package, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
