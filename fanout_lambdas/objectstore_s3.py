"""The object store in S3; S3 itself makes each put whole or nothing.

The bucket may lie in another region than the caller: S3 answers with the right one, and the client goes there and
remembers it. So that a missing object is told from a forbidden one, readers need s3:ListBucket.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from fanout_lambdas.objectstore import (
    NoSuchObject,
    ObjectTooLarge,
    StoreUnavailable,
    check_key,
    is_key,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# All tries together fit into what a worker has left after probing and reporting.
_CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 3}, connect_timeout=3, read_timeout=10
)


class S3Store:
    """Objects under `prefix` of one bucket; without a client of its own it shares the process's."""

    def __init__(self, bucket: str, prefix: str = "", *, client: S3Client | None = None) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._client = client or shared_client()

    def put(self, key: str, data: bytes) -> None:
        check_key(key)
        with _errors(f"{key} could not be written"):
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=data)

    def get(self, key: str, *, most: int | None = None) -> bytes:
        check_key(key)
        with _errors(f"{key} could not be read"):
            try:
                answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
            except self._client.exceptions.NoSuchKey:
                raise NoSuchObject(key) from None
            if most is not None and answer["ContentLength"] > most:
                answer["Body"].close()  # what is left of it is not fetched
                raise ObjectTooLarge(answer["ContentLength"])
            return answer["Body"].read()

    def list(self, prefix: str) -> list[str]:
        keys: list[str] = []
        with _errors(f"{prefix} could not be listed"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            for page in pages:
                keys += [row["Key"].removeprefix(self._prefix) for row in page.get("Contents", [])]
        # S3 allows any name: a folder made in the console ends with a slash, and others may write here too.
        return sorted(filter(is_key, keys))

    def delete(self, key: str) -> None:
        check_key(key)
        with _errors(f"{key} could not be deleted"):
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key)


@cache
def shared_client() -> S3Client:
    """One for the process: threads may share it, and making it takes tenths of a second."""
    client: S3Client = boto3.client("s3", config=_CONFIG)
    return client


@contextmanager
def _errors(what: str) -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise StoreUnavailable(f"{what}: {error}") from error
