"""The asynchronous queue: at least once, retried, throttled, aged, and buried at last."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import boto3
import pytest
from moto.server import ThreadedMotoServer

from bench.emulator import Emulator, Faults, FunctionLedger, FunctionSpec
from tests.bench.emulator.conftest import ENDED_S, client, function, simulated, start

FAST = 1 / 1_000
"""A minute's wait takes 60 ms."""


def counts(ledger: FunctionLedger) -> dict[str, int]:
    names = ("accepted", "invocations", "finished", "errors", "retries", "dead")
    return {name: getattr(ledger, name) for name in names}


def test_an_error_is_tried_twice_again_and_then_a_dead_letter(
    emulated: Callable[..., Emulator],
) -> None:
    emulator = emulated(function("fail", on_failure="letters"), time_scale=FAST)
    before = datetime.now(UTC).replace(microsecond=0)
    start(client(emulator), "fail", {"n": [1]})
    assert emulator.drain(ENDED_S)
    (letter,) = emulator.dead_letters("letters")
    assert emulator.dead_letters("others") == []
    assert before <= datetime.fromisoformat(letter.pop("timestamp")) <= datetime.now(UTC)
    assert letter["requestContext"].pop("requestId")
    assert letter["responsePayload"].pop("requestId")
    assert letter["responsePayload"].pop("stackTrace")
    assert letter == {
        "version": "1.0",
        "requestContext": {
            "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:fail:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": {"n": [1]},
        "responseContext": {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        },
        "responsePayload": {"errorType": "ValueError", "errorMessage": "no {'n': [1]}"},
    }
    ledger = emulator.ledger()["fail"]
    assert counts(ledger) == {
        "accepted": 1,
        "invocations": 3,
        "finished": 0,
        "errors": 3,
        "retries": 2,
        "dead": 1,
    }
    # One minute, then two.
    first, second, third = ledger.begun
    assert second - first >= 60 * FAST
    assert third - second >= 120 * FAST


@pytest.mark.parametrize("retries", [0, 1])
def test_a_function_may_be_tried_less_often(
    emulated: Callable[..., Emulator], retries: int
) -> None:
    # A timeout is an error too.
    emulator = emulated(
        simulated("slow", 5.0, timeout_s=0.05, retries=retries, on_failure="letters"),
        time_scale=FAST,
    )
    start(client(emulator), "slow")
    assert emulator.drain(ENDED_S)
    ledger = emulator.ledger()["slow"]
    assert (ledger.invocations, ledger.timeouts, ledger.dead) == (retries + 1, retries + 1, 1)
    (letter,) = emulator.dead_letters("letters")
    assert letter["requestContext"]["approximateInvokeCount"] == retries + 1
    assert letter["responsePayload"]["errorType"] == "Sandbox.Timedout"


def test_without_a_destination_a_dead_event_is_only_counted(
    emulated: Callable[..., Emulator],
) -> None:
    emulator = emulated(simulated("slow", 5.0, timeout_s=0.01, retries=0))
    start(client(emulator), "slow")
    assert emulator.drain(ENDED_S)
    assert emulator.ledger()["slow"].dead == 1


def test_throttled_events_wait_and_all_run(emulated: Callable[..., Emulator]) -> None:
    emulator = emulated(simulated("narrow", 0.02, reserved=2), time_scale=FAST)
    lambdas = client(emulator)
    for number in range(30):
        start(lambdas, "narrow", number)
    assert emulator.drain(ENDED_S)
    ledger = emulator.ledger()["narrow"]
    assert counts(ledger) == {
        "accepted": 30,
        "invocations": 30,
        "finished": 30,
        "errors": 0,
        "retries": 0,
        "dead": 0,
    }
    assert ledger.throttles > 0
    assert (ledger.refused, ledger.peak_environments) == (0, 2)


def test_an_event_that_grows_too_old_is_given_up(emulated: Callable[..., Emulator]) -> None:
    emulator = emulated(
        simulated("narrow", 1.0, reserved=1, event_age_s=60, on_failure="letters"),
        simulated("failing", 9.0, timeout_s=0.01, event_age_s=150, on_failure="letters"),
        time_scale=1 / 200,
    )
    lambdas = client(emulator)
    for number in range(2):
        start(lambdas, "narrow", number)
    assert emulator.drain(ENDED_S)
    (letter,) = emulator.dead_letters("letters")
    assert letter["requestContext"]["condition"] == "EventAgeExceeded"
    assert letter["requestContext"]["approximateInvokeCount"] == 0
    assert letter["requestPayload"] == 1
    assert "responsePayload" not in letter
    # It ran, and ran again a minute later; there was no time for the two minutes of the next.
    start(lambdas, "failing")
    assert emulator.drain(ENDED_S)
    letter = emulator.dead_letters("letters")[1]
    assert letter["requestContext"]["condition"] == "EventAgeExceeded"
    assert letter["requestContext"]["approximateInvokeCount"] == 2
    assert letter["responsePayload"]["errorType"] == "Sandbox.Timedout"


def test_no_concurrency_at_all_buries_at_once(emulated: Callable[..., Emulator]) -> None:
    emulator = emulated(simulated("off", 0.0, reserved=0, on_failure="letters"))
    start(client(emulator), "off")
    assert emulator.drain(1.0)
    (letter,) = emulator.dead_letters("letters")
    assert letter["requestContext"]["condition"] == "ZeroReservedConcurrency"


def test_drain_says_when_there_was_no_time(emulated: Callable[..., Emulator]) -> None:
    emulator = emulated(simulated("slow", 0.6))
    assert emulator.drain(0.0)
    start(client(emulator), "slow")
    assert not emulator.drain(0.1)
    assert emulator.drain(ENDED_S)


def test_some_events_are_delivered_twice(emulated: Callable[..., Emulator]) -> None:
    emulator = emulated(simulated("twice", 0.0), faults=Faults(duplicates=0.3, seed=7))
    lambdas = client(emulator)
    for number in range(50):
        start(lambdas, "twice", number)
    assert emulator.drain(ENDED_S)
    ledger = emulator.ledger()["twice"]
    assert 0 < ledger.duplicates < 50
    assert ledger.accepted == 50
    assert ledger.finished == 50 + ledger.duplicates


@pytest.mark.parametrize(
    "spec",
    [
        function("echo", on_failure="letters"),
        simulated("many", 0.01, retries=0, on_failure="letters"),
    ],
)
def test_some_environments_are_killed_in_the_middle(
    emulated: Callable[..., Emulator], spec: FunctionSpec
) -> None:
    # This seed spares the first and hits one soon.
    emulator = emulated(spec, faults=Faults(kills=0.3, seed=1), time_scale=FAST)
    lambdas = client(emulator)
    for number in range(12):
        start(lambdas, spec.name, number)
    assert emulator.drain(ENDED_S)
    ledger = emulator.ledger()[spec.name]
    assert 0 < ledger.errors < ledger.invocations
    assert ledger.finished + ledger.dead == 12
    assert ledger.invocations == 12 + ledger.retries
    letters = emulator.dead_letters("letters")
    assert len(letters) == ledger.dead
    for letter in letters:
        assert letter["responsePayload"]["errorMessage"].endswith("signal: killed")


def test_a_run_that_is_quicker_than_its_kill_is_lost_too(
    emulated: Callable[..., Emulator],
) -> None:
    emulator = emulated(function("echo", retries=0), faults=Faults(kills=1.0))
    for number in range(5):
        start(client(emulator), "echo", number)
    assert emulator.drain(ENDED_S)
    ledger = emulator.ledger()["echo"]
    assert (ledger.finished, ledger.errors, ledger.dead) == (0, 5, 5)


@pytest.fixture(scope="module")
def sqs() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def test_dead_letters_reach_a_queue_of_sqs(emulated: Callable[..., Emulator], sqs: str) -> None:
    client_of_sqs = boto3.client(
        "sqs",
        region_name="us-east-1",
        endpoint_url=sqs,
        aws_access_key_id="any",
        aws_secret_access_key="any",
    )
    url = client_of_sqs.create_queue(QueueName="letters")["QueueUrl"]
    emulator = emulated(
        simulated("slow", 5.0, timeout_s=0.01, retries=0, on_failure="letters"), sqs_endpoint=sqs
    )
    start(client(emulator), "slow", {"minute": 7})
    assert emulator.drain(ENDED_S)
    (message,) = client_of_sqs.receive_message(QueueUrl=url)["Messages"]
    assert json.loads(message["Body"]) == emulator.dead_letters("letters")[0]
