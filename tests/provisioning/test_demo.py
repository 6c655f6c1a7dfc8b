"""The demo and the load: made by command, made once, and ready to probe."""

from __future__ import annotations

import json
from collections import Counter
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from alerts.models import Channel
from checks.models import Check, ExtraSlot
from clients.models import Client, Membership, User
from provisioning.demo import Places, make_load, places_in
from tests.clients.test_people import activation, sign_in

pytestmark = pytest.mark.django_db


def run(**options: Any) -> str:
    out = StringIO()
    call_command("demo", stdout=out, **options)
    return out.getvalue()


@pytest.fixture(autouse=True)
def own_state_dir(settings: Any, tmp_path: Path) -> None:
    settings.STATE_DIR = tmp_path


def test_the_demo_is_made_once(tmp_path: Path) -> None:
    (tmp_path / "target.json").write_text(
        json.dumps({"pid": 1, "http": "http://127.0.0.1:9081", "https": "https://localhost:9443"})
    )
    said = run()
    client = Client.objects.get()
    checks = Check.objects.for_client(client)
    assert Counter(checks.values_list("kind", flat=True)) == {
        "http": 7,
        "tcp": 2,
        "tls": 1,
        "heartbeat": 1,
    }
    probed = checks.exclude(kind="heartbeat")
    assert {check.url.split("/")[2] for check in probed} == {
        "127.0.0.1:9081",
        "localhost:9443",
        "127.0.0.1:8090",
    }
    slots = ExtraSlot.objects.for_client(client)
    assert slots.values("subject").distinct().count() == probed.count()
    assert client.check_limit > checks.count(), "room for the visitor's own"
    kinds = Channel.objects.for_client(client).values_list("kind", flat=True)
    assert sorted(kinds) == ["email", "webhook"]
    owner = Membership.objects.for_client(client).get()
    assert (owner.user.email, owner.role) == ("demo@example.com", "owner")
    assert User.objects.get(is_staff=True).email == "ops@example.com"

    logins = json.loads((tmp_path / "demo.json").read_text())["logins"]
    assert [entry["role"] for entry in logins] == ["client", "operator"]
    for entry in logins:
        assert User.objects.get(email=entry["email"]).check_password(entry["password"])
        assert entry["password"] in said
    assert (tmp_path / "demo.json").stat().st_mode & 0o077 == 0

    assert "0 new checks, 0 new channels" in run()
    assert json.loads((tmp_path / "demo.json").read_text())["logins"] == logins


def test_the_password_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_PASSWORD", "a chosen password")
    assert "a chosen password" in run()
    assert User.objects.get(email="demo@example.com").check_password("a chosen password")


def test_targets_on_this_machine_need_leave(settings: Any) -> None:
    settings.ALLOW_NETWORKS = ()
    with pytest.raises(CommandError, match="UPTIME_ALLOW_NETWORKS"):
        run()
    assert not Client.objects.exists()


def test_the_load_is_made_in_bulk_and_topped_up() -> None:
    assert "30 new clients with 90 new checks" in run(clients=30, checks=3)
    assert Check.objects.across_clients().count() == 90
    report = make_load(clients=40, checks=3, url="http://127.0.0.1:8081/fast")
    assert (report.clients, report.checks) == (10, 30)
    with pytest.raises(CommandError):
        run(clients=0)
    with pytest.raises(CommandError):
        run(checks=3)


def test_places_given_come_before_those_noted(tmp_path: Path) -> None:
    assert places_in(tmp_path / "nowhere") == Places()
    (tmp_path / "target.json").write_text("broken")
    assert places_in(tmp_path, http="http://127.0.0.1:1").http == "http://127.0.0.1:1"


def test_the_demo_user_can_switch_on_two_factor_sign_in(tmp_path: Path) -> None:
    run()
    login = json.loads((tmp_path / "demo.json").read_text())["logins"][0]
    browser = sign_in(login["email"], login["password"])
    assert activation(browser, login["password"]).status_code == 200
