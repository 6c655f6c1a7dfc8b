"""Regions and their keys, as the installation and its operator make them."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from checks.models import IngestKey, Region
from checks.regions import ensure_region, newest_ingest_key
from fanout_lambdas.sealing import Sealer

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
