"""The functions as `fanout_lambdas/template.yaml` deploys them, in the emulator."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3

from bench.emulator import Emulator, FunctionSpec
from bench.emulator.template import functions_in
from bench.fanout.checks import REGION
from fanout_lambdas.invoke import DISPATCHER, TRIGGERER, WORKER
from fanout_lambdas.objectstore import ObjectStore, dispatch_key, open_store
from fanout_lambdas.planning import Topology
from fanout_lambdas.shared.contracts import encode
from fanout_lambdas.shared.contracts.dispatch import DispatchReport
from uptime.embedded.places import PROJECT

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

STACK = "uptime"
TEMPLATE = PROJECT / "fanout_lambdas" / "template.yaml"
KEY_ID, SECRET = "bench", "a secret of the benchmark, and of nobody else"
UNRESERVED = {"WorkerConcurrency": "", "TriggererConcurrency": "", "DispatcherConcurrency": ""}


def name(function: str) -> str:
    """As it is called on AWS."""
    return f"{STACK}-{function}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What the functions are told of the world around them."""

    store: Path
    ingest_url: str
    ca: str

    @property
    def store_url(self) -> str:
        return self.store.as_uri()

    def environment(self, threads: int) -> dict[str, str]:
        return {
            "OBJECT_STORE_URL": self.store_url,
            "UPTIME_INGEST_URL": self.ingest_url,
            "UPTIME_INGEST_KEY_ID": KEY_ID,
            "UPTIME_INGEST_SECRET": SECRET,
            "UPTIME_SEALING_KEYS": "",
            "UPTIME_ALLOW_NETWORKS": "127.0.0.1",
            "UPTIME_CA_FILE": self.ca,
            "UPTIME_INVOKE_THREADS": str(threads),
        }

    def functions(self, parameters: Mapping[str, str], *, threads: int) -> dict[str, FunctionSpec]:
        """By our names: dispatcher, triggerer, worker."""
        found = functions_in(
            TEMPLATE,
            code=PROJECT,
            region=REGION,
            stack=STACK,
            parameters=parameters,
            environment=self.environment(threads),
        )
        by_name = {spec.name: spec for spec in found}
        return {each: by_name[name(each)] for each in (DISPATCHER, TRIGGERER, WORKER)}


def start_minute(emulator: Emulator, minute: int, topology: Topology) -> None:
    """What the tick of the installation does: one Event invocation of the dispatcher."""
    _client(emulator).invoke(
        FunctionName=name(DISPATCHER),
        InvocationType="Event",
        Payload=encode(
            {
                "version": 1,
                "minute": minute,
                "region": REGION,
                "topology": {
                    "checks_per_worker": topology.checks_per_worker,
                    "workers_per_triggerer": topology.workers_per_triggerer,
                    "billed": topology.billed,
                },
            }
        ),
    )


def dispatch_report(place: Place, minute: int) -> DispatchReport:
    """What the dispatcher left. Raises NoSuchObject where it has not ended well."""
    store: ObjectStore = open_store(place.store_url)
    return DispatchReport.from_bytes(store.get(dispatch_key(minute, REGION)))


def invoke_seconds(emulator: Emulator, function: str, *, times: int = 30) -> float:
    """What one Invoke takes a single loop here, with an empty event; the function is to be simulated."""
    client = _client(emulator)
    began = time.perf_counter()
    for _ in range(times):
        client.invoke(FunctionName=function, InvocationType="Event", Payload=b"{}")
    return (time.perf_counter() - began) / times


def _client(emulator: Emulator) -> LambdaClient:
    client: LambdaClient = boto3.client(
        "lambda",
        endpoint_url=emulator.endpoint,
        region_name=REGION,
        aws_access_key_id="any",
        aws_secret_access_key="any",
    )
    return client
