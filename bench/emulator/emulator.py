"""The owner's side: starts the emulator's process, asks it, ends it."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.emulator.ledger import FunctionLedger
from bench.emulator.spec import CONTROL, END_S, Faults, FunctionSpec, Limits, Setup
from uptime.embedded.places import PROJECT

ASK_S = 30.0
WARM_S = 10.0
DEFAULT_LIMITS, NO_FAULTS = Limits(), Faults()


class EmulatorError(Exception):
    """What the emulator could not do, in a sentence."""


class Emulator:
    """Lambda at `endpoint` while the context lasts; all its processes end with it, or with this process.

    `invoke_latency_s`: each Invoke is answered that much later. `cpu_share`: after INIT an environment
    has the CPU that AWS grants its memory; EmulatorError where the machine does not allow that.
    `memory_limit`: one that uses more than its memory is killed. `time_scale`: shrinks the waits of the
    queues, event age included. `idle_s`: environments idle that long end; AWS documents no figure.
    `log_folder`: output of each environment in `<function>/<environment>.log`, else it is discarded.
    `port`: of the endpoint, for callers that must know it before; 0 is any free one.
    """

    def __init__(
        self,
        functions: Sequence[FunctionSpec],
        *,
        limits: Limits = DEFAULT_LIMITS,
        faults: Faults = NO_FAULTS,
        invoke_latency_s: float = 0.0,
        cpu_share: bool = False,
        memory_limit: bool = False,
        time_scale: float = 1.0,
        idle_s: float = 300.0,
        log_folder: Path | None = None,
        sqs_endpoint: str | None = None,
        port: int = 0,
    ) -> None:
        if not functions:
            raise ValueError("There is no function to emulate.")
        limits.check(functions)
        self._setup = Setup(
            functions=tuple(functions),
            limits=limits,
            faults=faults,
            invoke_latency_s=invoke_latency_s,
            cpu_share=cpu_share,
            memory_limit=memory_limit,
            time_scale=time_scale,
            idle_s=idle_s,
            log_folder=log_folder,
            sqs_endpoint=sqs_endpoint,
            port=port,
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._endpoint = ""

    def __enter__(self) -> Self:
        # Its own group: Ctrl-C on the terminal reaches the owner alone, who may still want the ledger.
        self._process = process = subprocess.Popen(
            [sys.executable, "-m", "bench.emulator.server"],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # then it says nothing either
            process.stdin.write(self._setup.to_line())
            process.stdin.flush()
        said = json.loads(process.stdout.readline() or b'{"error": "The emulator did not start."}')
        if "error" in said:
            self.__exit__(None, None, None)
            raise EmulatorError(said["error"])
        self._endpoint = said["endpoint"]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()  # type: ignore[union-attr]
        try:
            process.wait(2 * END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()  # type: ignore[union-attr]

    @property
    def endpoint(self) -> str:
        """For AWS_ENDPOINT_URL_LAMBDA."""
        return self._endpoint

    @property
    def pid(self) -> int:
        """Of the emulator's process; the environments are its children."""
        assert self._process is not None
        return self._process.pid

    def warm(self, function: str, count: int, *, region: str | None = None) -> None:
        """Have that many idle environments; their INIT is neither counted nor billed."""
        self._ask("warm", wait_s=count * WARM_S, function=function, count=count, region=region)

    def drain(self, timeout_s: float) -> bool:
        """Wait until the queues of all regions are empty and nothing runs; whether that came in time."""
        return bool(self._ask("drain", wait_s=timeout_s, timeout_s=timeout_s))

    def ledger(self, *, region: str | None = None) -> Mapping[str, FunctionLedger]:
        """By function; of the first function's region where none is named."""
        said = self._ask("ledger", region=region)
        return {name: FunctionLedger.from_json(each) for name, each in said.items()}

    def dead_letters(self, queue: str, *, region: str | None = None) -> list[dict[str, Any]]:
        """The destination records of a queue, oldest first."""
        return list(self._ask("dead_letters", queue=queue, region=region))

    def cpu_s(self) -> float:
        """CPU seconds of the emulator itself, environments not counted."""
        return float(self._ask("cpu"))

    def processes(self) -> list[int]:
        """The process ids of the environments that live."""
        return list(self._ask("processes"))

    def _ask(self, verb: str, *, wait_s: float = 0.0, **asked: object) -> Any:
        address = self._endpoint.removeprefix("http://")
        connection = http.client.HTTPConnection(address, timeout=wait_s + ASK_S)
        try:
            connection.request("POST", CONTROL + verb, json.dumps(asked))
            answer = connection.getresponse()
            said = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != 200:
            raise EmulatorError(said["error"])
        return said
