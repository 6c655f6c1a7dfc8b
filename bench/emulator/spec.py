"""What is emulated: the functions, the limits of the account and the faults put in."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

ACCOUNT = "123456789012"
UNRESERVED_LEAST = 100
"""Concurrency that must stay unreserved in each region (API_PutFunctionConcurrency)."""
MAX_TIMEOUT_S = 900.0
EVENT_AGE_S = (60, 21_600)
RETRIES = (0, 2)
CONTROL = "/emulator/"
"""Under this path the owner asks the emulator's process."""
END_S = 10.0
"""In this time the killed processes are reaped."""


def _within(owner: str, name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ValueError(f"{owner}: {name} is {value:g}, it must be from {least:g} to {most:g}.")


def _absolute(path: Path) -> str:
    # Not resolved: a virtual environment's Python is known by its link.
    return str(path.absolute())


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionSpec:
    """One function as it would be deployed.

    `root` is the unpacked code, first on the path of `python`, which must have awslambdaric.
    `on_failure` names the queue of its dead letters. With `simulated_s` no process runs: an
    invocation just takes that long, for loads that the machine is too small for.
    """

    name: str
    handler: str
    memory_mb: int
    timeout_s: float
    environment: Mapping[str, str] = field(default_factory=dict)
    root: Path
    python: Path
    region: str = "us-east-1"
    reserved: int | None = None
    retries: int = 2
    event_age_s: int = 21_600
    on_failure: str | None = None
    simulated_s: float | None = None

    def __post_init__(self) -> None:
        _within(self.name, "memory_mb", self.memory_mb, 128, 10_240)
        _within(self.name, "timeout_s", self.timeout_s, 0.001, MAX_TIMEOUT_S)
        _within(self.name, "retries", self.retries, *RETRIES)
        _within(self.name, "event_age_s", self.event_age_s, *EVENT_AGE_S)
        if self.reserved is not None and self.reserved < 0:
            raise ValueError(f"{self.name}: reserved is {self.reserved}, it must not be negative.")

    @property
    def arn(self) -> str:
        return f"arn:aws:lambda:{self.region}:{ACCOUNT}:function:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of each region: `concurrency` of all functions, new environments a function may have in 10 s."""

    concurrency: int = 1_000
    scale_per_10s: int = 1_000

    def check(self, functions: Sequence[FunctionSpec]) -> None:
        """Raises ValueError where AWS would refuse to deploy."""
        names = [(spec.region, spec.name) for spec in functions]
        if len(set(names)) < len(names):
            raise ValueError("Two functions of one region have the same name.")
        for region in {spec.region for spec in functions}:
            reserved = [s.reserved for s in functions if s.region == region and s.reserved]
            if reserved and self.concurrency - sum(reserved) < UNRESERVED_LEAST:
                raise ValueError(
                    f"{region}: {sum(reserved)} of {self.concurrency} concurrent environments are "
                    f"reserved; {UNRESERVED_LEAST} must stay unreserved."
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Shares, 0 to 1: of events delivered twice, of runs whose environment is killed in the
    middle, of Invoke calls refused with 429. The same seed draws the same."""

    duplicates: float = 0.0
    kills: float = 0.0
    throttles: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("duplicates", "kills", "throttles"):
            _within("faults", name, getattr(self, name), 0.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """All that the server process is told, as one line of JSON."""

    functions: tuple[FunctionSpec, ...]
    limits: Limits = Limits()
    faults: Faults = Faults()
    invoke_latency_s: float = 0.0
    cpu_share: bool = False
    memory_limit: bool = False
    time_scale: float = 1.0
    idle_s: float = 300.0
    log_folder: Path | None = None
    sqs_endpoint: str | None = None
    port: int = 0

    def to_line(self) -> bytes:
        return json.dumps(dataclasses.asdict(self), default=_absolute).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        given: dict[str, Any] = json.loads(line)
        functions = tuple(
            FunctionSpec(**spec | {"root": Path(spec["root"]), "python": Path(spec["python"])})
            for spec in given.pop("functions")
        )
        limits, faults = Limits(**given.pop("limits")), Faults(**given.pop("faults"))
        folder = given.pop("log_folder")
        return cls(
            functions=functions,
            limits=limits,
            faults=faults,
            log_folder=Path(folder) if folder else None,
            **given,
        )
