"""Dead letters as AWS writes them, read from a real queue."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from fanout_lambdas.dead_letters import QueueAway, read_letter
from fanout_lambdas.dead_letters_sqs import SqsDeadLetters
from fanout_lambdas.shared.contracts import ContractError
from tests.aws import REGION, aws_environment, aws_server

MINUTE = 1_795_409_160
QUEUE = "uptime-dead-letters"
ARN = "arn:aws:lambda:eu-central-1:123456789012:function:my-uptime-{}:$LATEST"


def record(function: str = "worker", **changes: Any) -> dict[str, Any]:
    """AWS's example of the developer guide, with our payload."""
    return {
        "version": "1.0",
        "timestamp": "2026-11-23T04:46:05.568Z",
        "requestContext": {
            "requestId": "e4b46cbf-b738-xmpl-8880-a18cdf61200e",
            "functionArn": ARN.format(function),
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 1,
        },
        "requestPayload": {"minute": MINUTE, "region": REGION, "batch": 7, "probes": []},
        "responseContext": {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        },
        "responsePayload": {"errorMessage": "Task timed out after 120.00 seconds"},
    } | changes


def test_a_worker_s_letter_names_its_batch() -> None:
    letter = read_letter(json.dumps(record()), "handle")
    assert (letter.function, letter.condition, letter.invocations) == (
        "worker",
        "RetriesExhausted",
        1,
    )
    assert (letter.region, letter.minute, letter.batches) == (REGION, MINUTE, (7,))
    assert (letter.request_id, letter.receipt) == ("e4b46cbf-b738-xmpl-8880-a18cdf61200e", "handle")


def test_a_triggerer_s_letter_names_all_its_batches() -> None:
    payload = {"version": 1, "minute": MINUTE, "region": REGION}
    payload["batches"] = [{"batch": number, "minute": MINUTE} for number in (3, 4)]
    letter = read_letter(json.dumps(record("triggerer", requestPayload=payload)), "")
    assert (letter.function, letter.batches) == ("triggerer", (3, 4))


def test_a_dispatcher_s_letter_has_its_minute_alone() -> None:
    payload = {"minute": MINUTE, "region": REGION, "topology": {}}
    letter = read_letter(json.dumps(record("dispatcher", requestPayload=payload)), "")
    assert (letter.function, letter.minute, letter.batches) == ("dispatcher", MINUTE, ())


def test_an_event_that_grew_too_old_was_never_run() -> None:
    """Such a record has no response and no count of invocations."""
    old = record(requestContext=record()["requestContext"] | {"condition": "EventAgeExceeded"})
    del old["requestContext"]["approximateInvokeCount"], old["responseContext"]
    del old["responsePayload"]
    letter = read_letter(json.dumps(old), "")
    assert (letter.condition, letter.invocations) == ("EventAgeExceeded", 0)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"requestContext": None}, "requestContext"),
        ({"requestContext": {"functionArn": ARN.format("worker")}}, "requestContext.requestId"),
        ({"requestContext": {"functionArn": "arn:aws:lambda"}}, "functionArn"),
        ({"requestContext": {"functionArn": ARN.format("web")}}, "functionArn"),
        ({"requestPayload": "text"}, "requestPayload"),
        ({"requestPayload": {"region": REGION, "batch": 1}}, "requestPayload.minute"),
        ({"requestPayload": {"minute": MINUTE, "batch": 1}}, "requestPayload.region"),
        ({"requestPayload": {"minute": MINUTE, "region": REGION}}, "requestPayload.batch"),
    ],
)
def test_what_is_not_ours_names_the_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ContractError) as caught:
        read_letter(json.dumps(record(**changes)), "")
    assert caught.value.field == field


@pytest.mark.parametrize("body", ["", "hello", "[]", "\ud800", "[" * 100_000])
def test_what_is_no_record_is_refused(body: str) -> None:
    with pytest.raises(ContractError):
        read_letter(body, "")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with aws_server() as endpoint:
        yield endpoint


@pytest.fixture
def environment(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in aws_environment(endpoint).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def queue(environment: None) -> Iterator[str]:
    client = boto3.client("sqs")
    url = client.create_queue(QueueName=QUEUE, Attributes={"VisibilityTimeout": "60"})["QueueUrl"]
    yield url
    client.delete_queue(QueueUrl=url)


def send(queue: str, *bodies: str) -> None:
    client = boto3.client("sqs")
    for body in bodies:
        client.send_message(QueueUrl=queue, MessageBody=body)


def left(queue: str) -> tuple[int, int]:
    """Messages waiting, and messages that somebody has."""
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    found = boto3.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])
    return int(found["Attributes"][names[0]]), int(found["Attributes"][names[1]])


def letters(count: int) -> list[str]:
    return [
        json.dumps(record(requestPayload={"minute": MINUTE, "region": REGION, "batch": number}))
        for number in range(count)
    ]


def test_letters_are_received_in_tens_and_stay_until_they_are_deleted(queue: str) -> None:
    send(queue, *letters(23))
    store = SqsDeadLetters(REGION, QUEUE)
    found = store.receive()
    assert sorted(letter.batches for letter in found) == [(number,) for number in range(23)]
    assert left(queue) == (0, 23)
    assert SqsDeadLetters(REGION, QUEUE).receive() == []
    store.delete(found)
    assert left(queue) == (0, 0)
    store.delete([])


def test_no_more_are_taken_than_asked_for(queue: str) -> None:
    send(queue, *letters(15))
    found = SqsDeadLetters(REGION, QUEUE).receive(12)
    assert len(found) == 12
    assert left(queue) == (3, 12)


def test_what_nobody_can_read_is_logged_and_deleted(
    queue: str, caplog: pytest.LogCaptureFixture
) -> None:
    send(queue, "hello", *letters(1), json.dumps({"requestPayload": {}}))
    found = SqsDeadLetters(REGION, QUEUE).receive()
    assert [letter.batches for letter in found] == [(0,)]
    assert left(queue) == (0, 1)
    errors = [entry.getMessage() for entry in caplog.records if entry.levelname == "ERROR"]
    assert ["is none of ours and is deleted" in message for message in errors] == [True, True]
    assert "hello" not in caplog.text


def test_a_letter_of_a_megabyte_is_read(queue: str) -> None:
    payload = {"minute": MINUTE, "region": REGION, "batch": 1, "probes": [{"url": "x" * 900_000}]}
    send(queue, json.dumps(record(requestPayload=payload)))
    assert [letter.batches for letter in SqsDeadLetters(REGION, QUEUE).receive()] == [(1,)]


def test_a_queue_that_is_not_there_says_which(environment: None) -> None:
    with pytest.raises(QueueAway, match="queue nothing-here in eu-central-1 could not be read"):
        SqsDeadLetters(REGION, "nothing-here").receive()


def test_letters_that_cannot_be_deleted_say_so(queue: str) -> None:
    send(queue, *letters(1))
    store = SqsDeadLetters(REGION, QUEUE)
    found = store.receive()
    boto3.client("sqs").purge_queue(QueueUrl=queue)
    with pytest.raises(QueueAway, match=f"{QUEUE} in eu-central-1"):
        store.delete(found)
