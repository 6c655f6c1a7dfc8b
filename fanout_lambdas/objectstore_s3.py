"""The object store in S3; S3 itself makes each put whole or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from fanout_lambdas.objectstore import NoSuchObject, StoreUnavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 4}, connect_timeout=5, read_timeout=15
)


class S3Store:
    def __init__(self, bucket: str, prefix: str = "", *, client: S3Client | None = None) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._client: S3Client = client or boto3.client("s3", config=_CONFIG)

    def put(self, key: str, data: bytes) -> None:
        try:
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=data)
        except (BotoCoreError, ClientError) as error:
            raise StoreUnavailable(f"{key} could not be written: {error}") from error

    def get(self, key: str) -> bytes:
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
            return answer["Body"].read()
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404"):
                raise NoSuchObject(key) from None
            raise StoreUnavailable(f"{key} could not be read: {error}") from error
        except BotoCoreError as error:
            raise StoreUnavailable(f"{key} could not be read: {error}") from error

    def list(self, prefix: str) -> list[str]:
        keys: list[str] = []
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            for page in pages:
                keys += [row["Key"].removeprefix(self._prefix) for row in page.get("Contents", [])]
        except (BotoCoreError, ClientError) as error:
            raise StoreUnavailable(f"{prefix} could not be listed: {error}") from error
        return sorted(keys)

    def delete(self, key: str) -> None:
        try:
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key)
        except (BotoCoreError, ClientError) as error:
            raise StoreUnavailable(f"{key} could not be deleted: {error}") from error
