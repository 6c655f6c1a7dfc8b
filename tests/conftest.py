"""What every test shares: a private PostgreSQL, the personas, and a closed network beyond loopback."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.postgres import start_for_tests

# The environment is read when settings load, so it is complete before Django starts.
_state = tempfile.mkdtemp(prefix="uptime-state-")
os.environ.update(
    {
        "DATABASE_URL": start_for_tests(),
        "UPTIME_STATE_DIR": _state,
        "OBJECT_STORE_URL": f"file://{_state}/objects",
        "CELERY_BROKER_URL": "memory://",
        "UPTIME_ALLOW_NETWORKS": "127.0.0.1/32,::1/128",
        "DEBUG": "0",
        "SECRET_KEY": "a-key-for-tests-only-0123456789abcdef0123456789",
        "UPTIME_ENCRYPTION_KEYS": "dGVzdC1rZXktMDEyMzQ1Njc4OS10ZXN0LWtleS0wMTI=",
        "UPTIME_SITE_URL": "http://uptime.test",
        "DJANGO_ALLOW_ASYNC_UNSAFE": "1",
    }
)

import pytest  # noqa: E402
from django.test import Client as Browser  # noqa: E402
from django.utils import timezone  # noqa: E402

LOOPBACK = {"127.0.0.1", "::1", "localhost", "0.0.0.0", ""}


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


@pytest.fixture(scope="session", autouse=True)
def plain_static_names() -> Iterator[None]:
    """Pages render without collected and hashed files."""
    from django.conf import settings
    from django.test import override_settings

    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    with override_settings(STORAGES=settings.STORAGES | {"staticfiles": plain}):
        yield


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
