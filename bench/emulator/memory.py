"""The most memory a process has held resident."""

from __future__ import annotations


def peak_memory_mb(pid: int) -> float:
    """MiB since it began; 0 where the system does not tell or the process is gone."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            status = file.read()
    except OSError:
        return 0.0
    at = status.find(b"VmHWM:")
    return int(status[at + 6 :].split(None, 1)[0]) / 1_024 if at >= 0 else 0.0
