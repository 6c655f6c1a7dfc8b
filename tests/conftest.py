"""What every test shares: a private PostgreSQL, the personas, and a closed network beyond loopback."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.test import Client as Browser
from django.utils import timezone
from xdist.scheduler import LoadScopeScheduling

LOOPBACK = {"127.0.0.1", "::1", "localhost", "0.0.0.0", ""}


def pytest_configure() -> None:
    """Passwords of personas are no secret; a slow hash would take most of the run."""
    from django.conf import settings

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


MOST_WORKERS = 8
WAITING = 2
"""The two longest tests wait for whole minutes of a real installation: their workers leave their cores to others."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The whole suite runs on all cores. What somebody names runs in one process, unless they say -n too."""
    named = config.args_source is not pytest.Config.ArgsSource.TESTPATHS
    if named or config.option.keyword or config.option.markexpr or config.option.capture == "no":
        return 0
    return min(len(os.sched_getaffinity(0)) + WAITING, MOST_WORKERS)


class _ByFile(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """A file's tests stay together on one worker, as its fixtures do."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.split("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return _ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest begin first, so that nobody waits for one of them at the end."""
    items.sort(key=_seconds, reverse=True)


def _seconds(item: pytest.Item) -> float:
    marker = item.get_closest_marker("slow")
    return marker.kwargs.get("seconds", 0) if marker else 0


@pytest.fixture(autouse=True)
def no_outside_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that leaves loopback fails, it does not wait."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else ""
        if self.family != socket.AF_UNIX and not (host in LOOPBACK or str(host).startswith("127.")):
            raise OSError(f"a test tried to reach {host}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Migrated, with today's partitions."""
    from checks.history.partitions import ensure_partitions

    with django_db_blocker.unblock():
        ensure_partitions(now=timezone.now())


@dataclass(frozen=True)
class Personas:
    """One person of each kind. The stranger owns a client of their own."""

    client: Any
    owner: Any
    editor: Any
    viewer: Any
    stranger: Any
    stranger_client: Any
    operator: Any
    region: Any


PASSWORD = "correct horse battery"


@pytest.fixture
def personas(db: None) -> Personas:
    from clients.models import Client, Membership, Role, User
    from tests.regions import local_region

    def person(email: str, **fields: Any) -> User:
        return User.objects.create_user(email, PASSWORD, **fields)

    client = Client.objects.create(name="Acme", slug="acme")
    other = Client.objects.create(name="Other", slug="other")
    owner, editor, viewer = (person(f"{role}@acme.test") for role in ("owner", "editor", "viewer"))
    stranger = person("stranger@other.test")
    for user, role in ((owner, Role.OWNER), (editor, Role.EDITOR), (viewer, Role.VIEWER)):
        Membership.objects.create(client=client, user=user, role=role)
    Membership.objects.create(client=other, user=stranger, role=Role.OWNER)
    return Personas(
        client=client,
        owner=owner,
        editor=editor,
        viewer=viewer,
        stranger=stranger,
        stranger_client=other,
        operator=person("ops@uptime.test", is_staff=True),
        region=local_region(),
    )


@pytest.fixture
def browse() -> Callable[[Any], Browser]:
    """A signed-in test browser for a persona; `browse(None)` is anonymous."""

    def sign_in(user: Any) -> Browser:
        browser = Browser()
        if user is not None:
            browser.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
        return browser

    return sign_in


@pytest.fixture
def store(tmp_path: Path) -> Any:
    """An empty object store."""
    from fanout_lambdas.objectstore import open_store

    return open_store(f"file://{tmp_path}/objects")
