"""The triggerer (hop 2): multiplies, starting one worker for each batch it is handed."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping
from typing import Any

from fanout_lambdas.config import DispatcherConfig
from fanout_lambdas.invoke import WORKER, InvokeError, Invoker
from fanout_lambdas.shared.contracts import Fields

log = logging.getLogger(__name__)

MAX_BATCHES = 10_000
TRIES = 3


def multiply(event: Mapping[str, Any], *, invoker: Invoker) -> dict[str, Any]:
    """Start the workers; batch numbers that could not be started are named in the reply.

    Stateless: repeated, it makes duplicates, which ingest takes without effect.
    """
    batches = Fields(dict(event)).items("batches", MAX_BATCHES)
    failed = [batch.get("batch") for batch in batches if not _start(invoker, batch)]
    if failed:
        log.error("%s of %s workers were not started", len(failed), len(batches))
    return {"started": len(batches) - len(failed), "failed": failed}


def handler(event: Any, context: object) -> dict[str, Any]:
    # Loaded by name: only a deployment on AWS carries the AWS library.
    lambdas = importlib.import_module("fanout_lambdas.invoke_aws")
    return multiply(event, invoker=lambdas.invoker(DispatcherConfig.from_env().functions))


def _start(invoker: Invoker, batch: Mapping[str, Any]) -> bool:
    for _ in range(TRIES):
        try:
            invoker.invoke(WORKER, batch)
        except InvokeError as error:
            if error.permanent:
                return False
        else:
            return True
    return False
