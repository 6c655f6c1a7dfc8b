"""The Invoke API, as unchanged boto3 meets it."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

import pytest
from botocore.exceptions import ClientError

from bench.emulator import Emulator, Faults
from tests.bench.emulator.conftest import ENDED_S, client, function, invoke, simulated, start

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


@pytest.fixture(scope="module")
def emulator(emulated: Callable[..., Emulator]) -> Emulator:
    return emulated(function("echo"), function("fail"), function("long_answer"))


@pytest.fixture(scope="module")
def lambdas(emulator: Emulator) -> LambdaClient:
    return client(emulator)


def test_synchronous_invocation_answers_what_the_handler_returns(lambdas: LambdaClient) -> None:
    answer = lambdas.invoke(FunctionName="echo", Payload=b'{"a": [1, "\xc3\xa4"]}')
    assert answer["StatusCode"] == 200
    assert answer["ExecutedVersion"] == "$LATEST"
    payload = json.loads(answer["Payload"].read())
    assert payload["event"] == {"a": [1, "ä"]}
    assert payload["request_id"] == answer["ResponseMetadata"]["RequestId"]


def test_a_function_can_be_named_by_its_arn_and_without_a_payload(lambdas: LambdaClient) -> None:
    for name in (
        "arn:aws:lambda:us-east-1:123456789012:function:echo",
        "arn:aws:lambda:us-east-1:123456789012:function:echo:$LATEST",
        "123456789012:function:echo",
    ):
        answer = lambdas.invoke(FunctionName=name)
        assert json.loads(answer["Payload"].read())["event"] == {}


def test_an_exception_is_a_function_error_not_an_http_error(lambdas: LambdaClient) -> None:
    answer = lambdas.invoke(FunctionName="fail", Payload=b"7")
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    payload = json.loads(answer["Payload"].read())
    assert (payload["errorType"], payload["errorMessage"]) == ("ValueError", "no 7")


def test_asynchronous_invocation_is_accepted_at_once_and_runs(
    emulator: Emulator, lambdas: LambdaClient
) -> None:
    before = emulator.ledger()["echo"]
    answer = lambdas.invoke(FunctionName="echo", InvocationType="Event", Payload=b"{}")
    assert answer["StatusCode"] == 202
    assert answer["Payload"].read() == b""
    assert emulator.drain(ENDED_S)
    after = emulator.ledger()["echo"]
    assert (after.accepted - before.accepted, after.finished - before.finished) == (1, 1)


def test_dry_run_runs_nothing(emulator: Emulator, lambdas: LambdaClient) -> None:
    before = emulator.ledger()["echo"].invocations
    assert lambdas.invoke(FunctionName="echo", InvocationType="DryRun")["StatusCode"] == 204
    assert emulator.ledger()["echo"].invocations == before


def test_an_unknown_function_is_not_found(lambdas: LambdaClient) -> None:
    with pytest.raises(lambdas.exceptions.ResourceNotFoundException, match="Function not found"):
        lambdas.invoke(FunctionName="missing")


def test_a_function_is_found_in_its_own_region_only(emulator: Emulator) -> None:
    elsewhere = client(emulator, region="eu-central-1")
    with pytest.raises(ClientError, match=r"lambda:eu-central-1:123456789012:function:echo"):
        elsewhere.invoke(FunctionName="echo")


@pytest.mark.parametrize(("kind", "limit"), [("Event", 1_048_576), ("RequestResponse", 6_291_456)])
def test_a_payload_may_be_as_large_as_aws_says_and_no_larger(
    lambdas: LambdaClient, kind: Literal["Event", "RequestResponse"], limit: int
) -> None:
    largest = b'"' + b"x" * (limit - 2) + b'"'
    # The answer of `echo` would be too large for its own limit.
    assert lambdas.invoke(FunctionName="fail", InvocationType=kind, Payload=largest)
    with pytest.raises(ClientError, match=f"limit {limit} bytes") as refused:
        lambdas.invoke(FunctionName="fail", InvocationType=kind, Payload=largest + b" ")
    assert refused.value.response["Error"]["Code"] == "RequestTooLargeException"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413


def test_an_answer_over_the_limit_is_a_function_error(lambdas: LambdaClient) -> None:
    answer = lambdas.invoke(FunctionName="long_answer", Payload=b'{"bytes": 6300000}')
    assert answer["FunctionError"] == "Unhandled"
    said = json.loads(answer["Payload"].read())
    assert said["errorType"] == "Function.ResponseSizeTooLarge"
    assert len(invoke(lambdas, "long_answer", {"bytes": 6_291_000})) == 6_291_000


def test_a_payload_that_is_no_json_is_refused(lambdas: LambdaClient) -> None:
    with pytest.raises(lambdas.exceptions.InvalidRequestContentException):
        lambdas.invoke(FunctionName="echo", Payload=b"{a: 1}")


def test_an_unknown_kind_of_invocation_is_refused(emulator: Emulator) -> None:
    connection = http.client.HTTPConnection(emulator.endpoint.removeprefix("http://"))
    connection.request(
        "POST",
        "/2015-03-31/functions/echo/invocations",
        b"{}",
        {"X-Amz-Invocation-Type": "Later"},
    )
    answer = connection.getresponse()
    assert answer.status == 400
    assert answer.headers["x-amzn-ErrorType"] == "InvalidParameterValueException"
    answer.read()
    connection.request("GET", "/2015-03-31/functions/")
    assert connection.getresponse().status == 404
    connection.close()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000, 431),
    ],
)
def test_what_is_no_request_is_refused_and_the_connection_closed(
    emulator: Emulator, sent: bytes, status: int
) -> None:
    connection = http.client.HTTPConnection(emulator.endpoint.removeprefix("http://"), timeout=5)
    connection.connect()
    connection.sock.sendall(sent)
    answer = connection.sock.recv(1_000)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert connection.sock.recv(1_000) == b""
    connection.close()


@pytest.fixture(scope="module")
def slow(emulated: Callable[..., Emulator]) -> Iterator[LambdaClient]:
    return client(emulated(simulated("quick", 0.0), invoke_latency_s=0.1))  # type: ignore[return-value]


def test_every_answer_can_be_late_by_a_network(slow: LambdaClient) -> None:
    start(slow, "quick")
    began = time.monotonic()
    start(slow, "quick")
    assert time.monotonic() - began >= 0.1


def test_callers_can_be_told_to_come_again(emulated: Callable[..., Emulator]) -> None:
    emulator = emulated(simulated("busy", 0.0), faults=Faults(throttles=0.5, seed=1))
    lambdas = client(emulator)
    answers = []
    for _ in range(40):
        try:
            start(lambdas, "busy")
        except ClientError as error:
            answers.append((error.response["Error"]["Code"], error.response["Reason"]))  # type: ignore[typeddict-item]
    refused = len(answers)
    assert set(answers) == {("TooManyRequestsException", "CallerRateLimitExceeded")}
    assert 0 < refused < 40
    ledger = emulator.ledger()["busy"]
    assert (ledger.refused, ledger.accepted) == (refused, 40 - refused)
    # boto3 knows it for a throttle, and its own retries get through.
    start(client(emulator, attempts=10), "busy")
