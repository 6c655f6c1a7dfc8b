"""Starts child processes that do not outlive us, and tells whether a process is alive."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15
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


class Process(Protocol):
    """A child process, as far as a supervisor cares; `subprocess.Popen` is one."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None:
        """The exit code, negative for a signal, or None while it runs."""

    def send_signal(self, sig: int) -> None: ...


class Forked:
    """A child that is a copy of this process: whatever is imported here needs no second import there.

    That makes four Django processes start in the time of one, and lets them share their memory.
    """

    def __init__(
        self,
        main: Callable[[], object],
        *,
        name: str,
        output: int | None = None,
        keep: Sequence[int] = (),
        last_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self._code: int | None = None
        follow = _follow_parent(last_signal)
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _become(main, name=name, output=output, keep=keep, follow=follow)

    def poll(self) -> int | None:
        """The exit code, negative for a signal, or None while it runs."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def send_signal(self, sig: int) -> None:
        """Nothing happens when it has ended: its id may belong to somebody else."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def wait(self, timeout: float) -> bool:
        """Whether it ended within that time."""
        until = time.monotonic() + timeout
        while self.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        return self.poll() is not None


def _become(
    main: Callable[[], object],
    *,
    name: str,
    output: int | None,
    keep: Sequence[int],
    follow: Callable[[], None],
) -> None:
    """In the new copy: let go of everything that belongs to the supervisor, run `main`, end."""
    code = 1
    try:
        os.setpgid(0, 0)
        follow()
        signal.set_wakeup_fd(-1)
        for sign in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(sign, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if _libc is not None:
            _libc.prctl(_PR_SET_NAME, f"uptime-{name}".encode()[:15], 0, 0, 0)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        if output is not None:
            os.dup2(output, 1)
            os.dup2(output, 2)
            sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
            sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        # Not closed but pointed nowhere: objects of the supervisor still hold these numbers.
        for entry in os.listdir("/dev/fd"):
            number = int(entry)
            if number > 2 and number != nothing and number not in keep:
                try:
                    os.fstat(number)
                    os.dup2(nothing, number, inheritable=False)
                except OSError:
                    continue
        result = main()
        code = result if isinstance(result, int) else 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
        if isinstance(leaving.code, str):
            print(leaving.code, file=sys.stderr)
    except KeyboardInterrupt:
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


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
