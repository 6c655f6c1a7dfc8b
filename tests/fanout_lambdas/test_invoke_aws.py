"""Invocations through unchanged boto3 against a server that answers as Lambda's Invoke API does."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from fanout_lambdas.invoke import TRIGGERER, WORKER, Invoked, InvokeError
from fanout_lambdas.invoke_aws import LambdaInvoker, invoker
from fanout_lambdas.shared.contracts import MAX_PAYLOAD_BYTES
from tests.targets import free_port

PAYLOAD = {"region": "eu-central-1", "minute": 1_795_409_160}
ERRORS = {
    400: "InvalidParameterValueException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    409: "ResourceConflictException",
    413: "RequestTooLargeException",
    429: "TooManyRequestsException",
    500: "ServiceException",
    503: "ServiceException",
}


@dataclass
class Api:
    """Answers with the statuses in turn, then with 202."""

    statuses: list[int]
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    connections: int = 0


@contextlib.contextmanager
def lambda_api(monkeypatch: pytest.MonkeyPatch, *statuses: int) -> Iterator[Api]:
    api, lock = Api(list(statuses)), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def setup(self) -> None:
            super().setup()
            with lock:
                api.connections += 1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                api.requests.append((self.path, dict(self.headers), body))
                status = api.statuses.pop(0) if api.statuses else 202
            answer = b"" if status == 202 else b'{"Type":"User","message":"Not now."}'
            self.send_response(status)
            if status != 202:
                self.send_header("X-Amzn-ErrorType", ERRORS[status])
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    point_at(monkeypatch, server.server_port)
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def point_at(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


def test_an_invocation_is_asynchronous_and_names_the_stacks_function(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with lambda_api(monkeypatch) as api:
        assert LambdaInvoker("stage").invoke(WORKER, PAYLOAD) == Invoked()
    ((path, headers, body),) = api.requests
    assert path == "/2015-03-31/functions/stage-worker/invocations"
    assert headers["X-Amz-Invocation-Type"] == "Event"
    assert json.loads(body) == PAYLOAD


def test_each_region_has_its_own_client(monkeypatch: pytest.MonkeyPatch) -> None:
    with lambda_api(monkeypatch) as api:
        lambdas = LambdaInvoker("uptime")
        for region in ("eu-central-1", "us-east-1", "eu-central-1"):
            lambdas.invoke(TRIGGERER, {**PAYLOAD, "region": region})
    scopes = [headers["Authorization"].split("/")[2] for _, headers, _ in api.requests]
    assert scopes == ["eu-central-1", "us-east-1", "eu-central-1"]
    assert api.connections == 2


def test_threads_share_one_pool_of_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    with lambda_api(monkeypatch) as api:
        lambdas = LambdaInvoker("uptime", threads=8)
        with ThreadPoolExecutor(8) as pool:
            done = list(pool.map(lambda _: lambdas.invoke(WORKER, PAYLOAD), range(80)))
    assert done == [Invoked()] * 80
    assert len(api.requests) == 80
    assert api.connections <= 8


def test_refusals_that_pass_are_tried_again_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    with lambda_api(monkeypatch, 429, 202, 503, 202) as api:
        lambdas = LambdaInvoker("uptime", tries=2)
        assert lambdas.invoke(WORKER, PAYLOAD) == Invoked(retried=1, throttled=1)
        assert lambdas.invoke(WORKER, PAYLOAD) == Invoked(retried=1)
        assert lambdas.invoke(WORKER, PAYLOAD) == Invoked()
    assert len(api.requests) == 5


def test_refusals_that_last_are_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with lambda_api(monkeypatch, 429, 429) as api, pytest.raises(InvokeError) as caught:
        LambdaInvoker("uptime", tries=2).invoke(WORKER, PAYLOAD)
    error = caught.value
    assert (error.permanent, error.retried, error.throttled) == (False, 1, 2)
    assert "uptime-worker in eu-central-1 was not started" in str(error)
    assert len(api.requests) == 2


@pytest.mark.parametrize(
    ("status", "permanent"),
    [
        (400, True),
        (403, True),
        (404, True),
        (409, False),  # the function is being updated
        (413, True),
        (429, False),
        (500, False),
        (503, False),
    ],
)
def test_what_may_pass_and_what_cannot(
    monkeypatch: pytest.MonkeyPatch, status: int, permanent: bool
) -> None:
    with lambda_api(monkeypatch, status) as api, pytest.raises(InvokeError) as caught:
        LambdaInvoker("uptime", tries=1).invoke(WORKER, PAYLOAD)
    assert (caught.value.permanent, caught.value.retried) == (permanent, 0)
    assert caught.value.throttled == (status == 429)
    assert len(api.requests) == 1


def test_api_that_is_away_may_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    point_at(monkeypatch, free_port())
    with pytest.raises(InvokeError, match="was not started") as caught:
        LambdaInvoker("uptime", tries=1).invoke(WORKER, PAYLOAD)
    assert not caught.value.permanent


def test_missing_credentials_do_not_come_by_themselves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    point_at(monkeypatch, free_port())
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(InvokeError, match="credentials") as caught:
        LambdaInvoker("uptime", tries=1).invoke(WORKER, PAYLOAD)
    assert caught.value.permanent


@pytest.mark.parametrize("region", [None, "", 5, "not a region"])
def test_payload_without_a_region_is_refused(
    monkeypatch: pytest.MonkeyPatch, region: object
) -> None:
    with lambda_api(monkeypatch) as api, pytest.raises(InvokeError, match="region") as caught:
        LambdaInvoker("uptime").invoke(WORKER, {"region": region})
    assert caught.value.permanent
    assert api.requests == []


def test_payload_over_the_limit_is_our_error_not_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    most = MAX_PAYLOAD_BYTES - len(
        json.dumps({"region": "eu-central-1", "x": ""}, separators=(",", ":"))
    )
    with lambda_api(monkeypatch) as api:
        lambdas = LambdaInvoker("uptime")
        lambdas.invoke(WORKER, {"region": "eu-central-1", "x": "y" * most})
        with pytest.raises(InvokeError, match="has 1000001 bytes, the limit is 1000000") as caught:
            lambdas.invoke(WORKER, {"region": "eu-central-1", "x": "y" * (most + 1)})
    assert caught.value.permanent
    assert len(api.requests) == 1


def test_a_process_keeps_its_invoker() -> None:
    assert invoker("uptime", 5) is invoker("uptime", 5)
    assert invoker("uptime", 5) is not invoker("stage", 5)
