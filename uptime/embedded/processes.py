"""Starts child processes that do not outlive us, and tells whether a process is alive."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1
# Loaded here, because a forked child must not import or open anything before it becomes the program.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An operating system account that a child drops to."""

    name: str
    uid: int
    gid: int


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str | Path = "/",
    account: Account | None = None,
    output: int | IO[bytes] | None = None,
    pass_fds: Sequence[int] = (),
    last_signal: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start a child in its own process group; `last_signal` reaches it when this process dies, however it dies.

    Linux ties that signal to the thread that starts the child: call this from the main thread.
    """
    return subprocess.Popen(
        list(argv),
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        pass_fds=pass_fds,
        # Own group: Ctrl-C on the terminal then reaches the supervisor alone, and it stops the children in order.
        process_group=0,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        preexec_fn=_follow_parent(last_signal),
    )


def _follow_parent(last_signal: signal.Signals) -> Callable[[], None]:
    parent = os.getpid()

    def follow() -> None:
        # Runs after the change of account, which would clear the setting.
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, int(last_signal))
            if os.getppid() != parent:
                os._exit(1)

    return follow


def is_alive(pid: int) -> bool:
    """Whether a process with this id exists (a zombie counts as gone)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return True
    return state != "Z"


def exit_text(code: int) -> str:
    """The end of a process in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
