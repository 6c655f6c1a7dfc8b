"""Log files of the children, with rotation, and the question which of their lines a person must see."""

from __future__ import annotations

import re
from pathlib import Path

MAX_BYTES = 5 * 1024 * 1024
KEPT = 3

_TROUBLE = re.compile(
    r"\b(WARNING|ERROR|CRITICAL|FATAL|PANIC|Traceback)\b|\[(warning|error|critical)\]"
)
# True, expected, and no news for somebody who stops the product or restarts a part.
_HARMLESS = re.compile(
    r"terminating connection due to administrator command|"
    r"unexpected postmaster exit|WARNING psycopg\.pool |PendingDeprecationWarning|"
    r"error ignored in rollback|WARNING py\.warnings |WARNING django\.request |Handling signal|"
    r"the database system is (starting up|shutting down)"
)


class Log:
    """One child's log file: appended to, and renamed to `.1`, `.2`, ... when it has grown large."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self._max_bytes = max_bytes
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)

    def write(self, data: bytes) -> None:
        """Append; never raises, because a full disk must not stop the product."""
        try:
            self._file.write(data)
            if self._file.tell() > self._max_bytes:
                self._rotate()
        except OSError:
            return

    def tail(self, lines: int) -> list[str]:
        """The last lines."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, file.seek(0, 2) - 16_384))
                return file.read().decode(errors="replace").splitlines()[-lines:]
        except OSError:
            return []

    def close(self) -> None:
        self._file.close()

    def _rotate(self) -> None:
        self._file.close()
        for number in range(KEPT - 1, 0, -1):
            older = self.path.with_name(f"{self.path.name}.{number}")
            if older.exists():
                older.replace(self.path.with_name(f"{self.path.name}.{number + 1}"))
        self.path.replace(self.path.with_name(f"{self.path.name}.1"))
        self._file = self.path.open("ab", buffering=0)


def is_trouble(line: str) -> bool:
    """Whether a line of a child is worth showing on the terminal."""
    return bool(_TROUBLE.search(line)) and not _HARMLESS.search(line)
