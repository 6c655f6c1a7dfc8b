"""`POST /ingest/v1/results` as a worker, and as somebody who is not one, meets it."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext

from checks.history.partitions import ensure_partitions
from checks.ingest_api import KeyRing, key_ring
from checks.models import BatchReport, Check, IngestKey, Region, Result
from fanout_lambdas.sealing import new_key
from fanout_lambdas.shared.contracts import pack
from fanout_lambdas.shared.signing import sign
from tests.checks.pipeline.fleet import at, batch, check, result
from tests.regions import KEY_ID, SECRET, local_region

pytestmark = pytest.mark.django_db
URL = "/ingest/v1/results"


@pytest.fixture(autouse=True)
def ready(db: None) -> Iterator[None]:
    ensure_partitions(now=at(time.time()), days_ahead=0)
    local_region()
    key_ring.forget()
    yield
    key_ring.forget()


def document(one: Check, **fields: Any) -> dict[str, Any]:
    parsed = batch([result(one, int(time.time()) - 2)])
    return {**parsed.batch.to_json(), **fields}


def post(
    body: bytes,
    *,
    secret: str = SECRET,
    key_id: str = KEY_ID,
    off_by: float = 0,
    encoding: str = "gzip",
    **headers: str,
) -> Any:
    signed = sign(body, key_id, secret.encode(), int(time.time() + off_by))
    return Browser(enforce_csrf_checks=True).post(
        URL,
        body,
        content_type="application/json",
        headers={**signed, "Content-Encoding": encoding, **headers},
    )


def stored() -> int:
    return Result.objects.across_clients().count()


def test_a_signed_batch_is_stored_and_answered_with_figures() -> None:
    answer = post(pack(document(check())))

    assert answer.status_code == 200
    assert answer.json() == {
        "accepted": 1,
        "duplicate": 0,
        "late": 0,
        "refused": 0,
        "errors": [],
    }
    assert stored() == 1


def test_a_plain_body_is_as_good_as_a_packed_one() -> None:
    body = json.dumps(document(check())).encode()

    assert post(body, encoding="identity").json()["accepted"] == 1


def test_the_same_body_again_has_no_second_effect() -> None:
    body = pack(document(check()))
    post(body)

    assert post(body).json()["duplicate"] == 1
    assert stored() == 1


def test_bad_items_are_named_by_their_index_and_the_others_stand() -> None:
    one = check()
    good = document(one)["results"][0]
    bad = [{**good, "outcome": "splendid"}, good, "no object", {**good, "check_id": 2**62}]

    answer = post(pack(document(one, results=bad)))

    assert answer.status_code == 200
    told = answer.json()
    assert (told["accepted"], told["refused"]) == (1, 3)
    assert [(error["index"], error["field"]) for error in told["errors"]] == [
        (0, "outcome"),
        (2, ""),
        (3, "check_id"),
    ]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"secret": "guessed"}, 403),
        ({"key_id": "nobody"}, 403),
        ({"key_id": "nobody", "secret": "\0"}, 403),
        ({"off_by": -100}, 403),
        ({"off_by": 100}, 403),
    ],
)
def test_forged_reports_are_refused_before_anything_is_written(
    change: dict[str, Any], status: int
) -> None:
    body = pack(document(check()))

    with CaptureQueriesContext(connection) as queries:
        answer = post(body, **change)

    assert answer.status_code == status
    assert answer.json()["error"]["message"]
    assert all(query["sql"].startswith("SELECT") for query in queries)
    assert stored() == 0


@pytest.mark.parametrize("missing", ["X-Uptime-Key", "X-Uptime-Timestamp", "X-Uptime-Signature"])
def test_unsigned_reports_are_refused(missing: str) -> None:
    absent: dict[str, Any] = {missing: ""}

    answer = post(pack(document(check())), **absent)

    assert answer.status_code == 401
    assert missing in answer.json()["error"]["message"]


def test_a_changed_body_is_refused() -> None:
    body = pack(document(check()))
    signed = sign(body, KEY_ID, SECRET.encode(), int(time.time()))

    answer = Browser().post(URL, body + b" ", content_type="application/json", headers=signed)

    assert answer.status_code == 403


def test_another_regions_key_does_not_speak_for_this_one() -> None:
    mars = Region.objects.create(code="mars", name="Mars", sealing_key=new_key())
    IngestKey.objects.create(region=mars, key_id="mars-1", secret="red")

    answer = post(pack(document(check())), key_id="mars-1", secret="red")

    assert (answer.status_code, answer.json()["error"]["rule"]) == (403, "region")
    assert stored() == 0


def test_too_much_on_the_wire_is_refused_unread() -> None:
    assert post(b"x" * (1024 * 1024 + 1)).status_code == 413


def test_a_bomb_is_stopped_at_ten_mebibytes() -> None:
    bomb = gzip.compress(b" " * (64 * 1024 * 1024))
    assert len(bomb) < 1024 * 1024

    assert post(bomb).status_code == 413


BROKEN = {
    "not gzip": b"not gzip",
    "not JSON": gzip.compress(b"not json"),
    "a list": gzip.compress(b"[]"),
    "almost nothing": gzip.compress(b'{"version": 1}'),
    "too deep": gzip.compress(b"[" * 100_000),
    "cut short": gzip.compress(b"{}")[:-4],
    "no finite number": gzip.compress(b'{"version": 1e400}'),
    "not UTF-8": gzip.compress("{}".encode("utf-16")),
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_bodies_that_break_the_contract_are_answered_400(body: bytes) -> None:
    answer = post(body)

    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


def test_an_unknown_version_is_refused_by_name() -> None:
    answer = post(pack(document(check(), version=2)))

    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "version")


def test_only_posts_are_taken() -> None:
    assert Browser().get(URL).status_code == 405


def test_a_revoked_key_dies_within_a_minute() -> None:
    now = 0.0
    ring = KeyRing(clock=lambda: now)
    assert ring.find(KEY_ID).region is not None

    IngestKey.objects.update(revoked_at=at(time.time()))

    now = 60.0
    assert ring.find(KEY_ID).region is None


def test_two_keys_are_valid_during_rotation() -> None:
    IngestKey.objects.create(region=local_region(), key_id="local-2", secret="new")
    one = check()

    assert post(pack(document(one))).status_code == 200
    assert post(pack(document(one)), key_id="local-2", secret="new").status_code == 200


def test_a_repeated_attempt_is_one_report() -> None:
    body = pack(document(check()))
    post(body)
    post(body)

    assert BatchReport.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_without_a_database_the_sender_is_asked_to_come_back() -> None:
    body = pack(document(check()))
    port = connection.settings_dict["PORT"]
    host = connection.settings_dict["HOST"]
    connection.close()
    connection.settings_dict.update(PORT="1", HOST="127.0.0.1")
    try:
        began = time.monotonic()
        answer = post(body)
        took = time.monotonic() - began
    finally:
        connection.settings_dict.update(PORT=port, HOST=host)

    assert answer.status_code == 503
    assert int(answer["Retry-After"]) > 0
    assert took < 1
    assert post(body).json()["accepted"] == 1
