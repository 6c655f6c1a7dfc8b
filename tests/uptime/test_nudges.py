"""Nudges start a job once, however many ask, and never trouble who asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery.signals import before_task_publish

from checks.signals import delivery_due, recheck_due
from uptime.nudges import WINDOW_S, Nudge


@pytest.fixture
def published() -> Iterator[list[str]]:
    """Names of the tasks that leave this process."""
    names: list[str] = []

    def note(sender: str, **_: Any) -> None:
        names.append(sender)

    before_task_publish.connect(note, weak=False)
    yield names
    before_task_publish.disconnect(note)


def wait_until(done: Callable[[], bool]) -> None:
    until = time.monotonic() + 5
    while not done():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_many_that_ask_at_once_start_the_job_at_once_and_once_more(published: list[str]) -> None:
    nudge = Nudge("uptime.jobs.test_many")
    nudge()
    wait_until(lambda: published.count("uptime.jobs.test_many") == 1)

    for _ in range(50):
        nudge()
    time.sleep(WINDOW_S + 0.3)

    # Once for the first who asked, once for all who asked while that was on its way.
    assert published.count("uptime.jobs.test_many") == 2


def test_the_pipelines_signals_are_connected(published: list[str]) -> None:
    recheck_due.send(sender=None)
    delivery_due.send(sender=None)

    wait_until(lambda: {"uptime.jobs.recheck", "uptime.jobs.deliver"} <= set(published))
