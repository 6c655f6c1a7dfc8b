"""The object store in S3: its errors, its pages, and a bucket in another region."""

from __future__ import annotations

import re
import socket
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from fanout_lambdas.objectstore import NoSuchObject, StoreUnavailable, open_store
from fanout_lambdas.objectstore_s3 import S3Store, shared_client
from tests.aws import REGION, aws_environment, aws_server, make_bucket, s3_client
from tests.targets import free_port, serve


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


def test_the_environment_alone_leads_to_the_bucket(
    endpoint: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in aws_environment(endpoint).items():
        monkeypatch.setenv(name, value)
    shared_client.cache_clear()
    try:
        open_store(f"s3://{bucket}/some/place/").put("a", b"1")
        assert open_store(f"s3://{bucket}").list("") == ["some/place/a"]
    finally:
        shared_client.cache_clear()


def test_installations_under_two_prefixes_do_not_see_each_other(endpoint: str, bucket: str) -> None:
    client = s3_client(endpoint)
    one, other = S3Store(bucket, "one", client=client), S3Store(bucket, "one-more", client=client)
    one.put("spool/a", b"1")
    other.put("spool/b", b"2")
    assert (one.list(""), other.list("spool/")) == (["spool/a"], ["spool/b"])
    other.delete("spool/a")
    assert one.get("spool/a") == b"1"


def test_a_listing_of_many_pages_is_whole(store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on AWS with more than 1,000 keys, only that the pages are shorter here."""
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "7")
    keys = [f"spool/{number:02}" for number in range(30)]
    for key in reversed(keys):
        store.put(key, b"")
    assert store.list("spool/") == keys


def test_a_folder_made_in_the_console_is_no_object(
    endpoint: str, bucket: str, store: S3Store
) -> None:
    s3_client(endpoint).put_object(Bucket=bucket, Key="spool/", Body=b"")
    store.put("spool/a", b"1")
    assert store.list("spool/") == ["spool/a"]


def test_a_snapshot_of_a_hundred_megabytes_is_one_put(
    endpoint: str, bucket: str, store: S3Store
) -> None:
    store.put("snapshots/20261123T0446.json.gz", b"x" * 100_000_000)
    head = s3_client(endpoint).head_object(Bucket=bucket, Key="snapshots/20261123T0446.json.gz")
    assert head["ContentLength"] == 100_000_000
    assert "-" not in head["ETag"]  # as it would after parts


def fails(store: S3Store) -> list[str]:
    """What each verb says; none of them raises anything else."""
    said = []
    for verb in (
        lambda: store.put("a/b", b"1"),
        lambda: store.get("a/b"),
        lambda: store.list("a/"),
        lambda: store.delete("a/b"),
    ):
        with pytest.raises(StoreUnavailable) as caught:
            verb()
        said.append(str(caught.value))
    return said


def test_a_missing_bucket_is_not_a_missing_object(endpoint: str) -> None:
    said = fails(S3Store("uptime-nowhere", client=s3_client(endpoint)))
    assert [text.partition(":")[0] for text in said] == [
        "a/b could not be written",
        "a/b could not be read",
        "a/ could not be listed",
        "a/b could not be deleted",
    ]
    assert all("NoSuchBucket" in text for text in said)


def test_missing_rights_are_named(endpoint: str, store: S3Store) -> None:
    def check_rights(after: str) -> None:
        request = urllib.request.Request(
            f"{endpoint}/moto-api/reset-auth", after.encode(), {"Content-Type": "text/plain"}
        )
        urllib.request.urlopen(request).close()

    check_rights("0")
    try:
        assert all("InvalidAccessKeyId" in text for text in fails(store))
    finally:
        check_rights("inf")


def test_a_store_that_is_away_says_so() -> None:
    said = fails(S3Store("bucket", client=s3_client(f"http://127.0.0.1:{free_port()}")))
    assert all("Could not connect" in text for text in said)


def test_a_store_that_does_not_answer_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = s3_client(f"http://127.0.0.1:{silent.getsockname()[1]}", read_timeout=0.3)
        with pytest.raises(StoreUnavailable, match="Read timeout"):
            S3Store("bucket", client=client).get("a")


def test_half_an_object_is_never_handed_on() -> None:
    def half(peer: socket.socket, request: bytes) -> None:
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 500)

    with serve(half) as target:
        client = s3_client(f"http://127.0.0.1:{target.port}")
        with pytest.raises(StoreUnavailable, match="a/b could not be read"):
            S3Store("bucket", client=client).get("a/b")


class S3Elsewhere(BaseHTTPRequestHandler):
    """Refuses a signature for the wrong region and names the right one, as S3 does."""

    protocol_version = "HTTP/1.1"
    region = "ap-southeast-2"
    signed_for: ClassVar[list[str]] = []

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        scope = re.search(r"Credential=[^/]+/\d+/([a-z0-9-]+)/s3", self.headers["Authorization"])
        assert scope is not None
        self.signed_for.append(scope[1])
        here = scope[1] == self.region
        body = b"" if here else b"<Error><Code>PermanentRedirect</Code></Error>"
        self.send_response(200 if here else 301)
        self.send_header("x-amz-bucket-region", self.region)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_bucket_in_another_region_is_found_and_remembered() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), S3Elsewhere)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        client = s3_client(f"http://127.0.0.1:{server.server_port}", tries=2)
        store = S3Store("bucket", client=client)
        store.put("spool/a", b"1")
        store.put("spool/b", b"2")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert S3Elsewhere.signed_for == [REGION, S3Elsewhere.region, S3Elsewhere.region]


def test_a_missing_object_is_told_from_the_rest(store: S3Store) -> None:
    with pytest.raises(NoSuchObject, match="snapshots/none"):
        store.get("snapshots/none")
