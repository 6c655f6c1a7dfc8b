"""Nudges: after the pipeline's commit the job that has work is started at once instead of at its next turn."""

from __future__ import annotations

import importlib
import logging
import os
import threading
import time
from typing import Any

from django.conf import settings

from checks.signals import delivery_due, recheck_due

logger = logging.getLogger(__name__)

WINDOW_S = 1.0
"""However many batches ask within it, the job is started once."""


class Nudge:
    """Publishes from a thread of its own: a slow or absent broker never holds up who asks."""

    def __init__(self, task: str) -> None:
        self._task = task
        self._asked = threading.Event()
        self._lock = threading.Lock()
        self._owner = 0

    def __call__(self, **_: Any) -> None:
        self._asked.set()
        if self._owner != os.getpid():  # also in a forked child, which has no thread yet
            with self._lock:
                if self._owner != os.getpid():
                    self._owner = os.getpid()
                    name = f"nudge-{self._task}"
                    threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        from uptime.celery import app  # not at the top: the package for AWS is without Celery

        while True:
            self._asked.wait()
            self._asked.clear()
            try:
                app.send_task(self._task, queue="jobs", expires=10, retry=False, ignore_result=True)
            except Exception as error:  # the job finds the same rows at its next turn
                logger.warning("%s was not nudged: %s", self._task, error)
            time.sleep(WINDOW_S)


_recheck = Nudge("uptime.jobs.recheck")
_delivery = Nudge("uptime.jobs.deliver")


def connect() -> None:
    """On Lambda a thread is frozen with its environment, so there the nudges have a form of their own."""
    if settings.LAMBDA_FUNCTION:
        # Loaded by name: only an installation on AWS carries the AWS library.
        forms = importlib.import_module("uptime.lambda_nudges")
        forms.LambdaNudges(settings.LAMBDA_FUNCTION).connect()
        return
    recheck_due.connect(_recheck, weak=False, dispatch_uid="nudge-recheck")
    delivery_due.connect(_delivery, weak=False, dispatch_uid="nudge-delivery")
