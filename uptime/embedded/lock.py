"""One supervisor a state directory: a lock that the kernel drops when its holder dies, and who holds it."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

NAME = "up.lock"


class AlreadyRunning(Exception):
    """Another supervisor holds the lock; `pid` and `address` as far as it told them."""

    def __init__(self, *, pid: int | None, address: str) -> None:
        super().__init__(f"already running at {address} (process {pid})")
        self.pid = pid
        self.address = address


class Lock:
    """Held from construction until the process ends."""

    def __init__(self, state_dir: Path) -> None:
        self._descriptor = os.open(state_dir / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            told = _read(state_dir / NAME)
            os.close(self._descriptor)
            pid = told.get("pid")
            raise AlreadyRunning(
                pid=pid if isinstance(pid, int) else None,
                address=str(told.get("address") or "an address not yet known"),
            ) from None
        self.tell("")

    def tell(self, address: str) -> None:
        """Leave word for a second supervisor."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(
            self._descriptor, json.dumps({"pid": os.getpid(), "address": address}).encode(), 0
        )


def _read(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
