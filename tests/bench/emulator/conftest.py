from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from bench.emulator import Emulator, FunctionSpec

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

HERE = Path(__file__).parent
ENDED_S = 20.0


def function(name: str, **given: Any) -> FunctionSpec:
    """One of `handlers`, unless `given` names another handler."""
    wanted = {"handler": f"handlers.{name}", "memory_mb": 128, "timeout_s": 5.0, **given}
    return FunctionSpec(name=name, root=HERE, python=Path(sys.executable), **wanted)


def simulated(name: str, seconds: float, **given: Any) -> FunctionSpec:
    return function(name, handler="none.none", simulated_s=seconds, **given)


def client(emulator: Emulator, region: str = "us-east-1", attempts: int = 1) -> LambdaClient:
    """An ordinary boto3 client."""
    made: LambdaClient = boto3.client(
        "lambda",
        endpoint_url=emulator.endpoint,
        region_name=region,
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": attempts}, max_pool_connections=50),
    )
    return made


def invoke(client: LambdaClient, name: str, event: object = None) -> Any:
    """The payload of a synchronous invocation that went well."""
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event).encode())
    payload = json.loads(answer["Payload"].read())
    assert not answer.get("FunctionError"), payload
    return payload


def start(client: LambdaClient, name: str, event: object = None) -> None:
    answer = client.invoke(
        FunctionName=name, InvocationType="Event", Payload=json.dumps(event).encode()
    )
    assert answer["StatusCode"] == 202


@pytest.fixture(scope="module")
def emulated() -> Iterator[Callable[..., Emulator]]:
    """Emulators that live as long as the module's tests."""
    started: list[Emulator] = []

    def make(*functions: FunctionSpec, **given: Any) -> Emulator:
        emulator = Emulator(functions, **given).__enter__()
        started.append(emulator)
        return emulator

    yield make
    for emulator in started:
        emulator.__exit__(None, None, None)
