"""The REST API of each kind of check: its fields, its secrets, and what goes there and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client as Browser

from checks.models import Check
from checks.validation import FIELDS
from tests.checks.test_api import URL, Api, faults, problem
from tests.conftest import Personas


@pytest.fixture
def api(personas: Personas) -> Api:
    return Api(personas.client, ["read", "write"])


def test_credentials_and_texts_stay_with_their_origin(api: Api) -> None:
    auth = {"type": "basic", "username": "bob", "password": "s3cret"}
    made = api("POST", URL, {"url": "https://example.com/", "auth": auth}).json()
    one, away = f"{URL}{made['id']}/", {"url": "https://collector.example.net/"}
    assert made["auth"] == {"type": "basic", "username": "********", "password": "********"}
    refused = [("auth", "origin_changed")]
    assert faults(api("PATCH", one, away)) == refused
    assert faults(api("POST", f"{one}test/", {**away, "auth": made["auth"]})) == refused
    half = {"type": "basic", "username": "eve", "password": "********"}
    assert faults(api("PATCH", one, {**away, "auth": half})) == refused
    assert api("PATCH", one, {**away, "auth": None}).json()["auth"] is None

    tcp = api("POST", URL, {"kind": "tcp", "url": "example.com:8443", "send": "s3cret"}).json()
    one = f"{URL}{tcp['id']}/"
    assert tcp["send"] == "********"
    moved = {"url": "collector.example.net:8443"}
    assert faults(api("PATCH", one, moved)) == [("send", "origin_changed")]
    assert faults(api("PATCH", one, {**moved, "send": "********"})) == [("send", "origin_changed")]
    assert api("PATCH", one, {**moved, "send": "PING"}).json()["send"] == "********"


def test_stars_that_stand_for_nothing_are_refused(api: Api) -> None:
    made = api("POST", URL, {"url": "https://example.com/", "headers": {"X-A": "s3cret"}}).json()
    one = f"{URL}{made['id']}/"
    for fields in (
        {"headers": {"X-A": "********", "X-B": "********"}},
        {"auth": {"type": "bearer", "token": "********"}},
        {"method": "POST", "body": "********"},
    ):
        (name,) = fields.keys() - {"method"}
        assert faults(api("PATCH", one, fields)) == [(name, "masked")]
        assert faults(api("POST", URL, {"url": "https://b.test/", **fields})) == [(name, "masked")]
    assert faults(api("POST", URL, {"kind": "tcp", "url": "b.test:443", "send": "********"})) == [
        ("send", "masked")
    ]


COMMON = {"id", "name", "kind", "state", "state_since", "paused_at", "created_at", "updated_at"}
COMMON |= {"version", "interval_s"}
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "http": (
        {
            "url": "https://example.com/",
            "method": "POST",
            "headers": {"X-Token": "s3cret"},
            "body": "pin=s3cret",
            "auth": {"type": "bearer", "token": "s3cret"},
            "json": [
                {"path": "$.status", "op": "==", "value": "ok"},
                {"path": "$.error", "op": "==", "value": None},
                {"path": "$.items", "op": "exists"},
            ],
            "header": [{"name": "Server", "op": "absent"}],
            "regex": ["a+"],
            "expected_url": "https://example.com/home",
            "min_body_bytes": 5,
            "max_latency_outcome": "down",
        },
        {"max_latency_ms": 500},
    ),
    "tcp": ({"url": "example.com:8443", "send": "s3cret", "expect": "PONG"}, {"expect": "ok"}),
    "tls": ({"url": "example.com", "verify_tls": False}, {"cert_min_days": 30}),
    "dns": (
        {"url": "example.com", "record_type": "MX", "record_values": ["10 mail.example.com"]},
        {"name_server": "9.9.9.9"},
    ),
    "heartbeat": (
        {"name": "Backup", "cron": "30 2 * * *", "timezone": "Europe/Berlin"},
        {"grace_s": 900},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_read_can_be_written_back(api: Api, kind: str) -> None:
    """GET, change one field, PATCH all of it: secrets stay, nothing else moves."""
    fields, change = KINDS[kind]
    made = api("POST", URL, {"kind": kind, **fields})
    assert made.status_code == 201, made.content
    one = f"{URL}{made.json()['id']}/"
    before = api("GET", one).json()
    assert "s3cret" not in json.dumps(before)
    for name, value in fields.items():
        if "s3cret" not in json.dumps(value) and name != "url":
            assert before[name] == value
    stored = Check.objects.across_clients().get()
    writable = {name: before[name] for name in FIELDS if name in before}
    after = api("PATCH", one, {**writable, **change}).json()
    assert {k: v for k, v in after.items() if before[k] != v}.keys() == {
        *change,
        "version",
        "updated_at",
    }
    again = Check.objects.across_clients().get()
    for name in ("headers", "body", "auth", "send"):
        assert getattr(again, name) == getattr(stored, name)


def test_a_check_shows_the_fields_of_its_kind(api: Api) -> None:
    tcp = api("POST", URL, {"kind": "tcp", "url": "example.com:8443"}).json()
    policy = {"regions", "rotate", "down_after", "up_after", "quorum"}
    limits = {"url", "timeout_ms", "family", "max_latency_ms", "max_latency_outcome"}
    assert set(tcp) == COMMON | policy | limits | {"send", "expect"}
    assert tcp["url"] == "tcp://example.com:8443"
    beat = api("POST", URL, {"kind": "heartbeat", "name": "Backup"}).json()
    calls = {"ping_url", "last_ping_at", "expected_at", "due_at", "late"}
    assert set(beat) == COMMON | {"grace_s", "cron", "timezone"} | calls
    assert (beat["interval_s"], beat["late"], beat["last_ping_at"]) == (3_600, False, None)


def test_only_who_may_write_reads_the_address_of_a_heartbeat(
    personas: Personas, api: Api, browse: Callable[[Any], Browser]
) -> None:
    beat = api("POST", URL, {"kind": "heartbeat", "name": "Backup"}).json()
    one = f"{URL}{beat['id']}/"
    reader = Api(personas.client, ["read"])
    key = beat["ping_url"].rpartition("/")[2]
    assert key in browse(personas.editor).get(one).content.decode()
    for caller in (reader("GET", one), reader("GET", URL), browse(personas.viewer).get(one)):
        assert caller.status_code == 200
        assert key not in caller.content.decode()
    stranger = Api(personas.stranger_client, ["read", "write"])
    problem(stranger("GET", one), 404)
    problem(stranger("PATCH", one, {"grace_s": 60}), 404)
    problem(stranger("POST", f"{one}test/", {}), 404)
    assert stranger("GET", f"{URL}?kind=heartbeat").json()["results"] == []


def test_checks_are_filtered_by_kind_and_keep_it(api: Api) -> None:
    web = api("POST", URL, {"url": "https://example.com/"}).json()
    for kind in ("tcp", "dns"):
        api("POST", URL, {"kind": kind, **KINDS[kind][0]})
    found = api("GET", f"{URL}?kind=dns").json()["results"]
    assert [row["kind"] for row in found] == ["dns"]
    assert faults(api("GET", f"{URL}?kind=icmp")) == [("kind", "choice")]
    one = f"{URL}{web['id']}/"
    assert faults(api("PATCH", one, {"kind": "tcp"})) == [("kind", "fixed")]
    assert api("PATCH", one, {"kind": "http"}).status_code == 200


def test_a_heartbeat_is_not_tested(api: Api) -> None:
    beat = api("POST", URL, {"kind": "heartbeat", "name": "Backup"}).json()
    refused = api("POST", f"{URL}{beat['id']}/test/", {})
    assert "its job calls us" in problem(refused, 400)["detail"]


def test_a_list_with_heartbeats_costs_one_query_more(
    personas: Personas, api: Api, django_assert_max_num_queries: Any
) -> None:
    for number in range(5):
        api("POST", URL, {"kind": "heartbeat", "name": f"n{number}"})
    with django_assert_max_num_queries(5):
        rows = api("GET", URL).json()["results"]
    assert len({row["ping_url"] for row in rows}) == 5
