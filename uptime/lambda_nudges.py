"""Nudges on AWS Lambda: the job is started by an asynchronous invocation of the function that serves the site.

The environment is frozen once it has answered, so a thread would send its nudge when the next request thaws it. Nudges
are therefore sent before the answer: once each, however many asked, and in bounded time.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.core.signals import request_finished

from checks.signals import delivery_due, recheck_due

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

logger = logging.getLogger(__name__)

RECHECK: Final = "uptime.jobs.recheck"
DELIVER: Final = "uptime.jobs.deliver"

# The second try is for a kept connection that died while the environment was frozen. Six seconds at most, and a worker
# gives a report eight before it tries again.
_CONFIG = Config(
    connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2}
)


class LambdaNudges:
    """Collects who asked; `send` starts their jobs. `function`: name of the function that runs the jobs."""

    def __init__(self, function: str) -> None:
        self._function = function
        self._asked: set[str] = set()
        # Made while the environment starts, which has more CPU than a request will have.
        self._client: LambdaClient = boto3.client("lambda", config=_CONFIG)

    def ask_recheck(self, **_: Any) -> None:
        self._asked.add(RECHECK)

    def ask_delivery(self, **_: Any) -> None:
        self._asked.add(DELIVER)

    def send(self, **_: Any) -> None:
        """Called before each answer. Never raises: the job finds the same rows at its next turn."""
        asked, self._asked = self._asked, set()
        for job in sorted(asked):
            try:
                self._client.invoke(
                    FunctionName=self._function,
                    InvocationType="Event",
                    Payload=json.dumps({"command": job}).encode(),
                )
            except (BotoCoreError, ClientError) as error:
                logger.warning("%s was not nudged: %s", job, error)
                return  # the next one would wait as long for the same answer

    def connect(self) -> None:
        """A request sends at its end; a job of `uptime.jobs` calls `send` itself."""
        recheck_due.connect(self.ask_recheck, weak=False, dispatch_uid="nudge-recheck")
        delivery_due.connect(self.ask_delivery, weak=False, dispatch_uid="nudge-delivery")
        request_finished.connect(self.send, weak=False, dispatch_uid="nudges")
