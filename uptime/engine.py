"""The engine in use: Celery tasks over the handlers of the fan-out, or AWS Lambda; one protocol for both.

Each engine is loaded by name: only an installation on AWS carries the AWS library, only machines of one's own Celery.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache

from django.conf import settings

from fanout_lambdas.dead_letters import DeadLetters
from fanout_lambdas.invoke import Invoker
from fanout_lambdas.objectstore import ObjectStore, open_store


def invoker() -> Invoker:
    """The invoker of the engine in use."""
    if settings.PROBE_ENGINE == "lambda":
        lambdas: Invoker = importlib.import_module("fanout_lambdas.invoke_aws").invoker(
            settings.STACK
        )
        return lambdas
    tasks: Invoker = importlib.import_module("uptime.celery_engine").CeleryInvoker()
    return tasks


@cache
def store() -> ObjectStore:
    return open_store(settings.OBJECT_STORE_URL)


@cache
def queues() -> Mapping[str, DeadLetters]:
    """The dead letters of each region; none with Celery, where a task that cannot run is a batch without a report."""
    if settings.PROBE_ENGINE != "lambda":
        return {}
    sqs = importlib.import_module("fanout_lambdas.dead_letters_sqs")
    name = f"{settings.STACK}-dead-letters"
    return {region: sqs.SqsDeadLetters(region, name) for region in settings.REGIONS}
