"""The object store: snapshots, dispatch reports and the spool, in a directory or in S3.

A write is whole or nothing: a reader never sees half an object, whatever crashes.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from fanout_lambdas.shared.slots import minute_from_key, minute_key

SNAPSHOTS, DISPATCHES, SPOOL = "snapshots/", "dispatches/", "spool/"
_SUFFIX = ".json.gz"


class NoSuchObject(KeyError):
    """No object has this key."""


class ObjectTooLarge(Exception):
    """The object has more bytes than the reader takes; it was not read."""

    def __init__(self, size: int) -> None:
        super().__init__(f"it has {size:,} bytes")


class StoreUnavailable(Exception):
    """The store itself failed; the message says how. Trying again later may help."""


class ObjectStore(Protocol):
    """Keys are relative paths with forward slashes."""

    def put(self, key: str, data: bytes) -> None: ...

    def get(self, key: str, *, most: int | None = None) -> bytes:
        """Raises NoSuchObject, and ObjectTooLarge beyond `most` bytes."""

    def list(self, prefix: str) -> list[str]:
        """All keys that begin with `prefix`, sorted; names that are no keys (`check_key`) are passed over."""

    def delete(self, key: str) -> None:
        """Deleting what is not there is no error."""


class DirectoryStore:
    """Objects as files under one directory, readable by its owner alone."""

    def __init__(self, root: Path) -> None:
        self._root = root
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnavailable(f"{root} is not usable as an object store: {error}") from error

    def put(self, key: str, data: bytes) -> None:
        path = self._path(key)
        # Hidden names are never listed, so an interrupted write stays invisible.
        partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            self._make_folder(path.parent)
            with open(partial, "xb", opener=_private) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
            _sync_folder(path.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            raise StoreUnavailable(f"{key} could not be written: {error}") from error

    def get(self, key: str, *, most: int | None = None) -> bytes:
        path = self._path(key)
        try:
            size = path.stat().st_size
            if most is not None and size > most:
                raise ObjectTooLarge(size)
            return path.read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise NoSuchObject(key) from None
        except OSError as error:
            raise StoreUnavailable(f"{key} could not be read: {error}") from error

    def list(self, prefix: str) -> list[str]:
        # Only the folder that the prefix names is walked, not the whole store.
        folder = self._root / prefix.rpartition("/")[0]
        found = (str(path.relative_to(self._root).as_posix()) for path in _files(folder))
        return sorted(key for key in found if key.startswith(prefix))

    def delete(self, key: str) -> None:
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:
            raise StoreUnavailable(f"{key} could not be deleted: {error}") from error

    def _path(self, key: str) -> Path:
        check_key(key)
        return self._root.joinpath(*key.split("/"))

    def _make_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def is_key(key: str) -> bool:
    return all(part and not part.startswith(".") and "\0" not in part for part in key.split("/"))


def check_key(key: str) -> None:
    """Raises ValueError."""
    if not is_key(key):
        raise ValueError(f"{key!r} is not a key: parts are not empty and begin without a dot")


def open_store(url: str) -> ObjectStore:
    """`file:///var/lib/uptime/objects` or `s3://bucket/prefix`; ValueError names the form."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        path = unquote(parts.path)
        if parts.netloc not in ("", "localhost") or not path.startswith("/"):
            raise ValueError(f"{url!r}: a directory is written file:///absolute/path")
        return DirectoryStore(Path(path))
    if parts.scheme == "s3":
        if not parts.netloc:
            raise ValueError(f"{url!r}: a bucket is written s3://bucket/prefix")
        # Loaded by name: whoever keeps a directory needs no AWS library.
        module = importlib.import_module("fanout_lambdas.objectstore_s3")
        store: ObjectStore = module.S3Store(parts.netloc, parts.path.strip("/"))
        return store
    raise ValueError(f"{url!r}: the object store is file:///absolute/path or s3://bucket/prefix")


def snapshot_key(minute: int) -> str:
    return f"{SNAPSHOTS}{minute_key(minute)}{_SUFFIX}"


def dispatch_key(minute: int, region: str) -> str:
    return f"{DISPATCHES}{minute_key(minute)}/{region}.json"


def trigger_key(minute: int, region: str, unique: str) -> str:
    return f"{trigger_prefix(minute, region)}{unique}.json"


def trigger_prefix(minute: int, region: str) -> str:
    """Where the reports of one minute's triggerers lie."""
    return f"{DISPATCHES}{minute_key(minute)}/{region}/"


def spool_key(*, region: str, minute: int, number: int, attempt: int, unique: str) -> str:
    """Sorts by time, so that the drain job begins with the oldest."""
    return f"{SPOOL}{minute_key(minute)}-{region}-{number}-{attempt}-{unique}.json"


def snapshot_minutes(store: ObjectStore) -> list[int]:
    """The minutes of all stored snapshots, oldest first."""
    minutes = []
    for key in store.list(SNAPSHOTS):
        name = key.removeprefix(SNAPSHOTS)
        if name.endswith(_SUFFIX):
            try:
                minutes.append(minute_from_key(name.removesuffix(_SUFFIX)))
            except ValueError:
                continue
    return minutes


def newest_snapshot_minute(store: ObjectStore, minute: int) -> int | None:
    """The minute of the newest snapshot that is not newer than `minute`."""
    return max((each for each in snapshot_minutes(store) if each <= minute), default=None)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _files(folder: Path) -> Iterator[Path]:
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
        elif entry.is_file(follow_symlinks=False):
            yield Path(entry.path)
