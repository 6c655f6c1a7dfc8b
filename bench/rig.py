"""What the whole-installation benchmarks and fault tests share: targets, an installation, its load, an orderly end."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.accounting import MINUTE_S, Account, planned_slots
from bench.cpu import Root
from bench.ingest_log import IngestLog
from bench.installation import Installation, temporary_folder
from bench.targets.serving import NAME as TARGETS
from bench.targets.serving import serving

INGEST_PATH = "/ingest/v1/results"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """Targets and an installation that run."""

    installation: Installation
    targets: subprocess.Popen[bytes]
    addresses: Mapping[str, str]
    ingest_log: IngestLog | None

    def roots(self) -> dict[str, Root]:
        """All groups of processes, the targets among them."""
        return {**self.installation.roots(), "targets": Root(pid=self.targets.pid)}

    def load(
        self,
        *,
        clients: int,
        checks: int,
        intervals_s: Sequence[int] = (60,),
        switches: int = 0,
        webhook: str = "",
    ) -> dict[str, Any]:
        """Fill the installation; see `bench.load.Order`."""
        targets = str(self.installation.folder / TARGETS)
        said = self.installation.manage(
            *("-m", "bench.load", "--clients", str(clients), "--checks", str(checks)),
            *("--interval", *map(str, intervals_s), "--switches", str(switches)),
            *("--webhook", webhook, "--targets", targets),
        )
        return dict(json.loads(said.splitlines()[-1]))

    def wait_for_full_minute(self) -> int:
        """The next minute, as soon as its plan holds every check; it begins within half a minute."""
        with self.installation.connect() as connection:
            account = Account(connection)
            checks = account.checks()

            def coming() -> int:
                return int(time.time()) // MINUTE_S * MINUTE_S + MINUTE_S

            def is_full() -> bool:
                minute = coming()
                expected = len(planned_slots(checks, minute))
                return account.counters(minute)["planned"] == expected

            self.installation.wait_until(
                is_full, at_most_s=150, every_s=0.5, what="a minute with every check"
            )
            return coming()


@contextlib.contextmanager
def rig(
    *, say: Say, log_ingest: bool = False, settings: Mapping[str, str] | None = None
) -> Iterator[Rig]:
    """Start everything; afterwards no process and no file of it is left, however it ended."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        say("starting the targets")
        targets, addresses = stack.enter_context(serving(folder))
        own = {"UPTIME_CA_FILE": addresses["ca"], **(settings or {})}
        log = IngestLog() if log_ingest else None
        if log is not None:
            stack.callback(log.stop)
            own["UPTIME_INGEST_URL"] = log.address + INGEST_PATH
        installation = Installation(folder, settings=own)
        if log is not None:
            log.start(installation.web)
        say("starting an installation: PostgreSQL, web, probe worker, jobs worker, beat")
        stack.callback(installation.stop)
        installation.start()
        yield Rig(installation=installation, targets=targets, addresses=addresses, ingest_log=log)
