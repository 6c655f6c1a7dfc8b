"""The object store in its two forms, a directory and S3: one behaviour; and what is the directory's own."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from fanout_lambdas.objectstore import (
    DirectoryStore,
    NoSuchObject,
    ObjectStore,
    ObjectTooLarge,
    StoreUnavailable,
    dispatch_key,
    newest_snapshot_minute,
    open_store,
    snapshot_key,
    snapshot_minutes,
    spool_key,
)
from fanout_lambdas.objectstore_s3 import S3Store
from tests.aws import aws_server, make_bucket, s3_client

MINUTE = 1_795_409_160


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with aws_server() as endpoint:
        yield endpoint


@pytest.fixture(params=["directory", "s3", "s3 prefix"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "directory":
        return DirectoryStore(tmp_path / "objects")
    client = s3_client(request.getfixturevalue("endpoint"))
    bucket = make_bucket(client)
    return S3Store(bucket, "an/installation" if "prefix" in request.param else "", client=client)


@pytest.fixture
def directory(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "objects")


def test_put_get_list_delete(store: ObjectStore) -> None:
    store.put("a/b/one", b"1")
    store.put("a/two", b"2")
    store.put("ab", b"3")
    store.put("a/two", b"22")
    assert store.get("a/two") == b"22"
    assert store.list("a/") == ["a/b/one", "a/two"]
    assert store.list("a/t") == ["a/two"]
    assert store.list("") == ["a/b/one", "a/two", "ab"]
    assert store.list("nothing/") == []
    store.delete("a/two")
    store.delete("a/two")
    with pytest.raises(NoSuchObject):
        store.get("a/two")
    with pytest.raises(NoSuchObject):
        store.get("a/b")


@pytest.mark.parametrize("key", ["", "/a", "a//b", "../a", "a/../../b", "a/.hidden", "a\0b", "a/"])
def test_keys_cannot_leave_the_store(store: ObjectStore, key: str) -> None:
    with pytest.raises(ValueError, match="is not a key"):
        store.put(key, b"")
    with pytest.raises(ValueError, match="is not a key"):
        store.get(key)
    with pytest.raises(ValueError, match="is not a key"):
        store.delete(key)


def test_bytes_come_back_as_they_were(store: ObjectStore) -> None:
    data = bytes(range(256)) * 1_000
    store.put("spool/20261123T0446-eu-west-1-3-1-ab.json", data)
    store.put("empty", b"")
    assert store.get("spool/20261123T0446-eu-west-1-3-1-ab.json") == data
    assert store.get("empty") == b""


def test_a_reader_says_how_much_it_takes(store: ObjectStore) -> None:
    store.put("a", b"12345")
    assert store.get("a", most=5) == b"12345"
    with pytest.raises(ObjectTooLarge, match="it has 5 bytes"):
        store.get("a", most=4)


def test_files_are_their_owners_alone(directory: DirectoryStore, tmp_path: Path) -> None:
    directory.put("a/b", b"1")
    modes = {
        path.name: stat.S_IMODE(os.stat(path).st_mode)
        for path in (tmp_path / "objects", tmp_path / "objects/a", tmp_path / "objects/a/b")
    }
    assert modes == {"objects": 0o700, "a": 0o700, "b": 0o600}


def test_what_an_interrupted_write_leaves_is_never_seen(
    directory: DirectoryStore, tmp_path: Path
) -> None:
    directory.put("a/b", b"1")
    (tmp_path / "objects/a/.b.0123456789abcdef").write_bytes(b"half")
    assert directory.list("") == ["a/b"]


def test_a_directory_that_cannot_be_written_says_so(
    directory: DirectoryStore, tmp_path: Path
) -> None:
    directory.put("a", b"1")
    with pytest.raises(StoreUnavailable, match="a/b could not be written"):
        directory.put("a/b", b"2")
    assert directory.get("a") == b"1"
    with pytest.raises(StoreUnavailable):
        DirectoryStore(tmp_path / "objects/a/below")


def test_open_store_reads_the_directory_form(tmp_path: Path) -> None:
    open_store(f"file://{tmp_path}/a%20b").put("x", b"1")
    assert (tmp_path / "a b" / "x").read_bytes() == b"1"


@pytest.mark.parametrize("url", ["", "/var/objects", "file:objects", "file://host/x", "ftp://x/y"])
def test_open_store_names_the_form_it_expects(url: str) -> None:
    with pytest.raises(ValueError, match="file:///absolute/path"):
        open_store(url)
    with pytest.raises(ValueError, match="s3://bucket/prefix"):
        open_store("s3:///prefix")


def test_snapshots_are_found_by_minute(store: ObjectStore) -> None:
    assert newest_snapshot_minute(store, MINUTE) is None
    for minute in (MINUTE - 120, MINUTE, MINUTE + 60):
        store.put(snapshot_key(minute), b"")
    store.put("snapshots/notes.txt", b"")
    store.put("snapshots/strange.json.gz", b"")
    assert snapshot_minutes(store) == [MINUTE - 120, MINUTE, MINUTE + 60]
    assert newest_snapshot_minute(store, MINUTE) == MINUTE
    assert newest_snapshot_minute(store, MINUTE - 60) == MINUTE - 120
    assert newest_snapshot_minute(store, MINUTE - 180) is None


def test_keys() -> None:
    assert snapshot_key(MINUTE) == "snapshots/20261123T0446.json.gz"
    assert dispatch_key(MINUTE, "eu") == "dispatches/20261123T0446/eu.json"
    assert (
        spool_key(region="eu", minute=MINUTE, number=3, attempt=1, unique="ab")
        == "spool/20261123T0446-eu-3-1-ab.json"
    )
