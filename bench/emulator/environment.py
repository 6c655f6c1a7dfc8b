"""One execution environment: a process of AWS's own runtime client, and the Runtime API it polls.

The protocol is that of "Lambda runtime API" in AWS's developer guide. Each environment has an address
of its own, as on AWS, because the client's requests do not say which environment they come from.
Between runs the process is frozen, as on AWS: a thread left behind does not go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.emulator.held import Hold
from bench.emulator.memory import peak_memory_mb
from bench.emulator.run import UNHANDLED, Call, Outcome, failure
from bench.emulator.spec import FunctionSpec
from bench.emulator.surroundings import surroundings
from bench.emulator.wire import Request, listen
from uptime.embedded.processes import spawn

MAX_RESPONSE_BYTES = 6_291_556  # the limit that Lambda's own message names: 6 MiB and 100 bytes
FREE_INIT_S = 10.0
"""INIT may take this long before it counts against the function's timeout."""
INITS_A_CORE = 2
VERSION = "/2018-06-01/runtime"


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What all environments of a server share: its endpoint, where output goes, how they are held.

    `processes`: those that run or are not reaped yet. `inits`: so many processes start at a time. A burst
    of cold starts would else share the cores of this machine, and each take as long as all of them.
    """

    endpoint: str
    log_folder: Path | None = None
    memory_limit: bool = False
    hold: Hold | None = None
    processes: set[int] = field(default_factory=set)
    inits: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(INITS_A_CORE * (os.cpu_count() or 1))
    )


@dataclass(slots=True)
class _Current:
    call: Call
    end: Callable[[Outcome], None]
    kill_after_s: float | None
    begun: float = 0.0
    begun_at: float = 0.0
    outcome: tuple[bytes, str | None] | None = None


class Environment:
    """`ready` is called after INIT and after each run, `gone` once when nothing more can run here.

    `init_s` is billed to the first run, which `fresh` awaits. `failed_init`: how INIT ended, if it failed.
    """

    def __init__(
        self,
        spec: FunctionSpec,
        house: House,
        *,
        name: str,
        ready: Callable[[Environment], None],
        gone: Callable[[Environment], None],
    ) -> None:
        self.name = name
        self.idle_since = 0.0
        self.fresh = True
        self.failed_init: Outcome | None = None
        self._init_error: bytes | None = None
        self._init_s = 0.0
        self._spec, self._house = spec, house
        self._ready, self._gone = ready, gone
        self._loop = asyncio.get_running_loop()
        self._process: subprocess.Popen[bytes] | None = None
        self._server: asyncio.Server | None = None
        self._waiting: Request | None = None
        self._current: _Current | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._in_init = self._initialised = self._ended = False
        self._started = time.monotonic()
        self._starting = self._loop.create_task(self._start())

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def run(
        self, call: Call, end: Callable[[Outcome], None], *, kill_after_s: float | None = None
    ) -> None:
        """Run it in this environment, which is ready; `end` is called once."""
        assert self._waiting is not None
        self._deliver(self._waiting, _Current(call, end, kill_after_s))

    def stop(self) -> None:
        """Kill the process; a run in it is lost."""
        if self._ended:
            return
        self._ended = True
        self._starting.cancel()
        self._end_init()
        if self._timer:
            self._timer.cancel()
        if self._server:
            self._server.close()
        self._signal(signal.SIGKILL)
        self._gone(self)

    def check_memory(self) -> None:
        """Kill it where it has used more than it is granted and that is enforced."""
        if self._over_memory():
            self._killed()

    async def _start(self) -> None:
        try:
            self._server, address = await listen(self._serve)
            await self._house.inits.acquire()
            self._in_init = True
            self._spawn(address)
        except OSError as error:
            self._fail("Runtime.InvalidEntrypoint", str(error))

    def _spawn(self, address: str) -> None:
        output = self._open_log()
        try:
            self._started = time.monotonic()
            self._process = spawn(
                [str(self._spec.python), "-m", "awslambdaric", self._spec.handler],
                env=surroundings(self._spec, self._house.endpoint, address, self.name),
                cwd=self._spec.root,
                output=output,
                last_signal=signal.SIGKILL,
            )
        finally:
            os.close(output)
        self._house.processes.add(self._process.pid)
        # Not SIGCHLD: that would also come at every freeze and thaw.
        end = os.pidfd_open(self._process.pid)
        self._loop.add_reader(end, self._exited, end)
        self._timer = self._loop.call_later(FREE_INIT_S + self._spec.timeout_s, self._timed_out)

    def _open_log(self) -> int:
        if self._house.log_folder is None:
            return os.open(os.devnull, os.O_WRONLY)
        folder = self._house.log_folder / self._spec.name
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(folder / f"{self.name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def _end_init(self) -> None:
        if self._in_init:
            self._in_init = False
            self._house.inits.release()

    def _serve(self, request: Request) -> None:
        if self._ended:  # the last words of a process that is killed
            return
        path = request.path.removeprefix(VERSION)
        if request.method == "GET" and path == "/invocation/next":
            self._next(request)
        elif path == "/init/error":
            self._init_error = request.body
            request.answer(202)
        elif self._current is None or not path.startswith(
            f"/invocation/{self._current.call.request_id}/"
        ):
            request.answer(400, b'{"errorType": "InvalidRequestID"}')
        elif path.endswith("/response"):
            self._answered(request)
        elif path.endswith("/error"):
            request.answer(202)
            self._current.outcome = (request.body, UNHANDLED)
        else:
            request.answer(404)

    def _answered(self, request: Request) -> None:
        assert self._current is not None
        if len(request.body) > MAX_RESPONSE_BYTES:
            request.answer(413, b'{"errorType": "RequestEntityTooLarge"}')
            self._fail(
                "Function.ResponseSizeTooLarge",
                f"Response payload size ({len(request.body)} bytes) exceeded maximum allowed "
                f"payload size ({MAX_RESPONSE_BYTES} bytes).",
            )
            return
        request.answer(202)
        self._current.outcome = (request.body, None)

    def _next(self, request: Request) -> None:
        """The runtime has nothing to do: the run is over, or INIT is."""
        self._waiting = request
        if self._timer:
            self._timer.cancel()
        if not self._initialised:
            self._initialised = True
            self._end_init()
            self._init_s = time.monotonic() - self._started
            if self._house.hold is not None and self.pid is not None:
                self._house.hold.hold(self.name, self.pid, self._spec.memory_mb)
        elif self._current is not None and self._current.outcome is not None:
            self._finish(self._current, self._current.outcome)
        if not self._ended:
            self._signal(signal.SIGSTOP)
            self.idle_since = time.monotonic()
            self._ready(self)

    def _finish(self, current: _Current, outcome: tuple[bytes, str | None]) -> None:
        # A run may be quicker than the fault that was to hit it, or than those who look at memory.
        if current.kill_after_s is not None or self._over_memory():
            self._killed()
        else:
            self._end(*outcome)

    def _deliver(self, request: Request, current: _Current) -> None:
        self._current, self._waiting = current, None
        current.begun, current.begun_at = time.monotonic(), time.time()
        self._signal(signal.SIGCONT)
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": current.call.request_id,
            "Lambda-Runtime-Deadline-Ms": str(
                int((current.begun_at + self._spec.timeout_s) * 1_000)
            ),
            "Lambda-Runtime-Invoked-Function-Arn": self._spec.arn,
            "Lambda-Runtime-Trace-Id": current.call.trace,
        }
        if current.call.client_context is not None:
            headers["Lambda-Runtime-Client-Context"] = current.call.client_context
        request.answer(200, current.call.payload, headers)
        self._timer = self._loop.call_later(self._spec.timeout_s, self._timed_out)
        if current.kill_after_s is not None:
            self._loop.call_later(current.kill_after_s, self._kill_current, current)

    def _exited(self, end: int) -> None:
        self._loop.remove_reader(end)
        os.close(end)
        assert self._process is not None
        # Not yet reaped, so its id is nobody else's: what it started ends with it.
        self._signal(signal.SIGKILL)
        status = self._process.wait()
        self._house.processes.discard(self._process.pid)
        if self._house.hold is not None:
            self._house.hold.release(self.name)
        if self._ended:
            return
        how = f"signal: {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        self._fail("Runtime.ExitError", f"Runtime exited with error: {how}")

    def _kill_current(self, current: _Current) -> None:
        if self._current is current and not self._ended:
            self._killed()

    def _killed(self) -> None:
        self._fail("Runtime.ExitError", "Runtime exited with error: signal: killed")

    def _timed_out(self) -> None:
        self._fail(
            "Sandbox.Timedout",
            f"Task timed out after {self._spec.timeout_s:.2f} seconds",
            timed_out=True,
        )

    def _fail(self, kind: str, what: str, *, timed_out: bool = False) -> None:
        """The environment is lost, and with it the run in it or its INIT."""
        if self._current is not None:
            payload = failure(kind, what, self._current.call)
            self._end(payload, UNHANDLED, timed_out=timed_out)
        elif not self._initialised:
            self.failed_init = Outcome(
                payload=self._init_error or failure(kind, what),
                error=UNHANDLED,
                timed_out=timed_out,
                begun=time.time(),
                init_s=time.monotonic() - self._started,
            )
        self.stop()

    def _end(self, payload: bytes, error: str | None, *, timed_out: bool = False) -> None:
        assert self._current is not None
        current, self._current = self._current, None
        outcome = Outcome(
            payload=payload,
            error=error,
            timed_out=timed_out,
            begun=current.begun_at,
            init_s=self._init_s if self.fresh else 0.0,
            run_s=min(time.monotonic() - current.begun, self._spec.timeout_s),
            memory_mb=self._memory_mb(),
        )
        self.fresh = False
        current.end(outcome)

    def _over_memory(self) -> bool:
        return self._house.memory_limit and self._memory_mb() > self._spec.memory_mb

    def _memory_mb(self) -> float:
        return peak_memory_mb(self.pid) if self.pid is not None else 0.0

    def _signal(self, sign: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, sign)
