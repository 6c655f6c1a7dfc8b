"""Regions and their keys, as the installation and its operator make them."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from checks.models import IngestKey, Region
from checks.regions import ensure_region, newest_ingest_key
from fanout_lambdas.config import WorkerConfig
from fanout_lambdas.sealing import SealBroken, Sealer

pytestmark = pytest.mark.django_db


def run(*args: str) -> str:
    out = StringIO()
    call_command(*args, stdout=out)
    return out.getvalue()


def test_a_region_comes_with_all_that_its_workers_need() -> None:
    region = ensure_region("local")

    key = newest_ingest_key(region)
    assert key is not None
    assert len(key.secret) >= 32
    assert Sealer([region.sealing_key]).open(Sealer([region.sealing_key]).seal({"body": "x"}))


def test_what_is_there_stays_as_it_is() -> None:
    before = ensure_region("local").sealing_key

    run("ensure_region", "local", "eu-west-1")

    assert Region.objects.get(code="local").sealing_key == before
    assert IngestKey.objects.filter(region__code="local").count() == 1
    assert Region.objects.filter(code="eu-west-1").exists()


@pytest.mark.parametrize("code", ["no spaces", "", "x" * 31, "a/b"])
def test_a_code_that_is_none_is_refused(code: str) -> None:
    with pytest.raises(CommandError):
        run("ensure_region", code)


def test_keys_are_rotated_with_an_overlap() -> None:
    region = ensure_region("local")
    old = newest_ingest_key(region)
    assert old is not None

    told = run("ingest_key", "add", "local")
    new = newest_ingest_key(region)
    assert new is not None
    assert (f"UPTIME_INGEST_KEY_ID={new.key_id}" in told, old.key_id != new.key_id) == (True, True)
    run("ingest_key", "revoke", old.key_id)

    listed = run("ingest_key", "list", "local")
    assert "revoked" in listed
    assert "valid" in listed
    assert old.secret not in listed


def test_unknown_names_are_told() -> None:
    with pytest.raises(CommandError, match="no region 'mars'"):
        run("ingest_key", "list", "mars")
    with pytest.raises(CommandError, match="no valid key"):
        run("ingest_key", "revoke", "mars-1")


def parameters(code: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(run("region_parameters", code))
    return found


def test_the_parameters_of_a_region_start_its_workers() -> None:
    region = ensure_region("eu-central-1")
    key = newest_ingest_key(region)
    assert key is not None

    told = parameters("eu-central-1")
    config = WorkerConfig.from_env(
        {
            **told,
            "UPTIME_REGION": "eu-central-1",
            "UPTIME_INGEST_URL": "https://uptime.example.org/ingest/v1/results",
            "OBJECT_STORE_URL": "s3://bucket",
        }
    )

    assert (config.key_id, config.secret) == (key.key_id, key.secret.encode())
    sealed = Sealer([region.sealing_key]).seal({"body": "x"})
    assert Sealer(config.sealing_keys).open(sealed) == {"body": "x"}


def test_only_the_parameters_are_printed_and_that_they_are_secret_is_told_beside_them() -> None:
    ensure_region("eu-central-1")
    out, beside = StringIO(), StringIO()

    call_command("region_parameters", "eu-central-1", stdout=out, stderr=beside)

    assert list(json.loads(out.getvalue())) == [
        "UPTIME_INGEST_KEY_ID",
        "UPTIME_INGEST_SECRET",
        "UPTIME_SEALING_KEYS",
    ]
    assert "secret" in beside.getvalue()


def test_an_added_ingest_key_is_handed_out_and_a_revoked_one_is_not() -> None:
    region = ensure_region("eu-central-1")
    old = newest_ingest_key(region)
    assert old is not None

    run("ingest_key", "add", "eu-central-1")
    new = parameters("eu-central-1")["UPTIME_INGEST_KEY_ID"]
    assert new != old.key_id
    run("ingest_key", "revoke", new)
    assert parameters("eu-central-1")["UPTIME_INGEST_KEY_ID"] == old.key_id

    run("ingest_key", "revoke", old.key_id)
    with pytest.raises(CommandError, match="ensure_region eu-central-1"):
        parameters("eu-central-1")
    with pytest.raises(CommandError, match="ensure_region mars"):
        parameters("mars")


def test_sealing_keys_rotate_without_a_moment_in_which_workers_cannot_open() -> None:
    region = ensure_region("eu-central-1")

    def sealed_now() -> str:
        region.refresh_from_db()
        return Sealer([region.sealing_key]).seal({"body": "x"})

    def workers() -> Sealer:
        return Sealer(parameters("eu-central-1")["UPTIME_SEALING_KEYS"].split(","))

    before, first = workers(), sealed_now()
    run("sealing_key", "add", "eu-central-1")
    between = workers()
    assert before.open(sealed_now()) == between.open(first) == {"body": "x"}

    run("sealing_key", "use", "eu-central-1")
    second = sealed_now()
    assert between.open(second) == workers().open(first) == workers().open(second) == {"body": "x"}
    with pytest.raises(SealBroken):
        before.open(second)

    run("sealing_key", "drop", "eu-central-1")
    assert workers().open(second) == {"body": "x"}
    with pytest.raises(SealBroken):
        workers().open(first)


def test_a_rotation_has_one_order() -> None:
    ensure_region("eu-central-1")
    for action in ("use", "drop"):
        with pytest.raises(CommandError, match="add one first"):
            run("sealing_key", action, "eu-central-1")
    run("sealing_key", "add", "eu-central-1")
    with pytest.raises(CommandError, match="use it or drop it first"):
        run("sealing_key", "add", "eu-central-1")
    with pytest.raises(CommandError, match="no region 'mars'"):
        run("sealing_key", "add", "mars")
