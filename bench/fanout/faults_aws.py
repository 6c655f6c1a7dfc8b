"""What of AWS the faults minute needs beside Lambda: a bucket that forgets nothing and the dead letters' queue."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from moto.server import ThreadedMotoServer

from fanout_lambdas.objectstore import SPOOL
from fanout_lambdas.shared.contracts import Spooled, unpack
from fanout_lambdas.shared.contracts.parsed_batch import parse_result_batch

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

REGION = "us-east-1"
BUCKET, STACK = "uptime-objects", "uptime"
DEAD_LETTERS = f"{STACK}-dead-letters"
MOVED_ASIDE = "spool-bad/"
"""Where `drain_spool` puts what it cannot take in."""
_KEY_ID, _SECRET = "EMULATOR", "emulator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aws:
    """S3 and SQS on loopback, for boto3 as it is."""

    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        """What boto3 reads, and where the objects are."""
        return {
            "AWS_ACCESS_KEY_ID": _KEY_ID,
            "AWS_SECRET_ACCESS_KEY": _SECRET,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_ENDPOINT_URL_SQS": self.endpoint,
            "OBJECT_STORE_URL": f"s3://{BUCKET}",
        }

    def prepare(self) -> None:
        """A bucket that keeps each version, so that what was spooled can be read after it was taken in."""
        s3 = self.s3()
        s3.create_bucket(Bucket=BUCKET)
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        sqs = boto3.client(
            "sqs",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=_KEY_ID,
            aws_secret_access_key=_SECRET,
        )
        sqs.create_queue(QueueName=DEAD_LETTERS)

    def keys(self, prefix: str) -> list[str]:
        """What is there now."""
        pages = self.s3().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [row["Key"] for page in pages for row in page.get("Contents", [])]

    def spooled(self) -> tuple[int, dict[tuple[int, int, str], str]]:
        """How many reports were ever spooled, and their results: (slot, check id, region) to outcome."""
        s3 = self.s3()
        results: dict[tuple[int, int, str], str] = {}
        reports = 0
        for key, version in self._versions(s3):
            found = s3.get_object(Bucket=BUCKET, Key=key, VersionId=version)
            batch = parse_result_batch(unpack(Spooled.from_bytes(found["Body"].read()).body)).batch
            reports += 1
            for result in batch.results:
                place = (result.slot, result.check_id, batch.region)
                results.setdefault(place, str(result.outcome))
        return reports, results

    def _versions(self, s3: S3Client) -> Iterator[tuple[str, str]]:
        pages = s3.get_paginator("list_object_versions").paginate(Bucket=BUCKET, Prefix=SPOOL)
        for page in pages:
            for row in page.get("Versions", []):
                yield row["Key"], row["VersionId"]

    def s3(self) -> S3Client:
        """A client of the benchmark's own."""
        client: S3Client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=_KEY_ID,
            aws_secret_access_key=_SECRET,
        )
        return client


@contextlib.contextmanager
def aws() -> Iterator[Aws]:
    """A server with an empty bucket and queue."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        made = Aws(endpoint=f"http://{host}:{port}")
        made.prepare()
        yield made
    finally:
        server.stop()


def function_environment(
    given: Mapping[str, Any], *, ingest_url: str, ca_file: str, objects: Mapping[str, str]
) -> dict[str, str]:
    """The variables of all functions: `given` are a region's secrets, as `manage.py region_parameters` prints them."""
    return {
        **objects,
        **{name: str(value) for name, value in given.items()},
        "UPTIME_REGION": REGION,
        "UPTIME_STACK": STACK,
        "UPTIME_INGEST_URL": ingest_url,
        "UPTIME_CA_FILE": ca_file,
        "UPTIME_ALLOW_NETWORKS": "127.0.0.1/32,::1/128",
    }
