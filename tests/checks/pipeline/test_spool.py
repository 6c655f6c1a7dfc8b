"""Whatever a worker's rights let somebody lay into the spool, the reports beside it are taken in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.utils import timezone

from checks.pipeline import spool
from checks.pipeline.spool import drain_spool
from fanout_lambdas.objectstore_s3 import S3Store
from tests.aws import aws_server, make_bucket, s3_client


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with aws_server() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(endpoint: str) -> str:
    return make_bucket(s3_client(endpoint))


@pytest.fixture
def store(endpoint: str, bucket: str) -> S3Store:
    return S3Store(bucket, client=s3_client(endpoint))


@pytest.mark.parametrize("name", [".hidden", "a//b", "../snapshots/x", "a/./b"])
def test_names_that_are_no_keys_hold_nothing_up(
    endpoint: str, bucket: str, store: S3Store, name: str
) -> None:
    s3_client(endpoint).put_object(Bucket=bucket, Key=f"spool/{name}", Body=b"{}")
    store.put("spool/z", b"not signed")

    report = drain_spool(store=store, now=timezone.now())

    assert (report.taken, report.bad) == (0, 1)
    assert store.list("spool-bad/") == ["spool-bad/z"]


def test_a_name_as_long_as_s3_allows_is_moved_aside(store: S3Store) -> None:
    longest = "spool/" + "a" * 1_018
    store.put(longest, b"not signed")
    store.put("spool/z", b"not signed")

    report = drain_spool(store=store, now=timezone.now())

    assert report.bad == 2
    assert store.list("spool/") == []
    aside = store.list("spool-bad/")
    assert len(aside) == 2
    assert max(map(len, aside)) <= 1_024  # the limit of S3, which the server here does not know


def test_what_is_larger_than_any_report_is_not_read(
    store: S3Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(spool, "MOST_BYTES", 1_000)
    store.put("spool/a", b"x" * 1_001)
    store.put("spool/z", b"not signed")

    report = drain_spool(store=store, now=timezone.now())

    assert report.bad == 2
    assert store.list("spool/") == []
    assert store.list("spool-bad/") == ["spool-bad/z"]
    assert "spool/a is deleted: it has 1,001 bytes" in caplog.text
