"""The boto3 client behind `LambdaInvoker`: one per process, its retries paced by AWS's answers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import boto3
from botocore.config import Config

from fanout_lambdas.invoke import LambdaInvoker

_CONFIG = Config(
    max_pool_connections=50,
    retries={"mode": "adaptive", "max_attempts": 5},
    connect_timeout=3,
    read_timeout=10,
)


def invoker(names: Mapping[str, str]) -> LambdaInvoker:
    return _invoker(tuple(sorted(names.items())))


@cache
def _invoker(names: tuple[tuple[str, str], ...]) -> LambdaInvoker:
    return LambdaInvoker(boto3.client("lambda", config=_CONFIG), dict(names))
