"""Our own ping address: when we could hear, when not, and how the key stays out of what we say of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from pytest_django.live_server_helper import LiveServer

from checks.heartbeats.health import deaf_since, healthy_spans, listen
from checks.heartbeats.keys import own_key
from checks.models import PingHealth
from tests.checks.heartbeats.beats import MINUTE, NOON, SECOND

TICK = timedelta(seconds=10)


@pytest.fixture
def hearing_us(live_server: LiveServer, settings: Any) -> None:
    settings.SITE_URL = live_server.url


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.mark.django_db(transaction=True)
def test_a_span_grows_with_each_answer(hearing_us: None) -> None:
    for tick in range(4):
        assert listen(now=NOON + tick * TICK, every_s=10)
    assert healthy_spans(since=NOON) == [(NOON, NOON + 3 * TICK)]
    assert deaf_since() is None


@pytest.mark.django_db(transaction=True)
def test_a_late_tick_is_no_gap_and_a_machine_that_was_off_is_one(hearing_us: None) -> None:
    for second in (0, 40, 81):
        listen(now=NOON + second * SECOND, every_s=10)
    assert healthy_spans(since=NOON) == [
        (NOON, NOON + 40 * SECOND),
        (NOON + 81 * SECOND, NOON + 81 * SECOND),
    ]


@pytest.mark.django_db(transaction=True)
def test_where_the_clock_ticks_once_a_minute_two_minutes_are_no_gap(hearing_us: None) -> None:
    for second in (0, 75, 200):
        listen(now=NOON + second * SECOND, every_s=60)
    assert healthy_spans(since=NOON) == [(NOON, NOON + 200 * SECOND)]


@pytest.mark.django_db(transaction=True)
def test_a_failed_call_ends_the_span(
    live_server: LiveServer, settings: Any, closed_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    settings.SITE_URL = live_server.url
    listen(now=NOON, every_s=10)
    settings.SITE_URL = f"http://127.0.0.1:{closed_port}"
    assert not listen(now=NOON + TICK, every_s=10)
    assert deaf_since() == NOON
    settings.SITE_URL = f"http://127.0.0.1:{closed_port}"
    assert not listen(now=NOON + TICK + SECOND, every_s=10)
    assert own_key() not in caplog.text
    assert caplog.text.count("raise no alarm") == 1
    settings.SITE_URL = live_server.url
    listen(now=NOON + 2 * TICK, every_s=10)
    assert healthy_spans(since=NOON) == [(NOON, NOON), (NOON + 2 * TICK, NOON + 2 * TICK)]
    assert deaf_since() is None


@pytest.mark.django_db
def test_another_site_under_our_name_is_not_us(settings: Any) -> None:
    """A parking page answers 200 to everything; it notes no calls."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings.SITE_URL = f"http://127.0.0.1:{server.getsockname()[1]}"

        def answer() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(
                        b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nparking"
                    )

        thread = threading.Thread(target=answer)
        thread.start()
        assert not listen(now=NOON, every_s=10)
        thread.join()
    assert deaf_since() == NOON
    assert healthy_spans(since=NOON) == [(NOON, NOON)]


@pytest.mark.django_db
def test_old_spans_are_pruned(store: Any) -> None:
    from checks.history.retention import prune

    PingHealth.objects.create(since=NOON - 90_000 * MINUTE, until=NOON - 89_500 * MINUTE)
    PingHealth.objects.create(since=NOON - MINUTE, until=NOON)
    prune(now=NOON, store=store)
    assert PingHealth.objects.count() == 1
