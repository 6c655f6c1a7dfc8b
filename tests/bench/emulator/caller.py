"""A function that invokes another, with boto3 as it comes."""

from __future__ import annotations

from typing import Any

import boto3

client = boto3.client("lambda")


def call(event: Any, context: Any) -> Any:
    answer = client.invoke(FunctionName=event["function"], Payload=b'{"far": 1}')
    return {"status": answer["StatusCode"], "payload": answer["Payload"].read().decode()}
