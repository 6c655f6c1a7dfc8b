"""Asynchronous invocations of AWS Lambda through boto3: one client per region, made at its first use."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    HTTPClientError,
)

from fanout_lambdas.config import DEFAULT_INVOKE_THREADS
from fanout_lambdas.invoke import Invoked, InvokeError
from fanout_lambdas.shared.contracts import MAX_PAYLOAD_BYTES, encode

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

# In mode "standard": with 5 % of a burst refused, the rate limiter of "adaptive" lets 11 calls a second through instead
# of 330 (docs/decisions/0014). Patience beyond these tries is the caller's (starting.py).
TRIES = 4
CONNECT_S, ANSWER_S = 3, 10
_PASSING = frozenset({408, 409, 429})  # 409: the function is being updated


class LambdaInvoker:
    """Functions are named `<stack>-<function>`; `threads` may call at once without waiting for a connection."""

    def __init__(
        self, stack: str, *, threads: int = DEFAULT_INVOKE_THREADS, tries: int = TRIES
    ) -> None:
        self._stack = stack
        self._session = boto3.Session()
        self._config = Config(
            max_pool_connections=threads,
            retries={"mode": "standard", "total_max_attempts": tries},
            connect_timeout=CONNECT_S,
            read_timeout=ANSWER_S,
        )
        self._clients: dict[str, LambdaClient] = {}
        self._making = threading.Lock()
        self._answers = _Answers()

    def invoke(self, function: str, payload: Mapping[str, Any]) -> Invoked:
        region = payload.get("region")
        if not isinstance(region, str) or not region:
            raise InvokeError(f"The payload for {function} names no region.", permanent=True)
        body = encode(payload)
        if len(body) > MAX_PAYLOAD_BYTES:
            raise InvokeError(
                f"The payload for {function} has {len(body)} bytes, the limit is "
                f"{MAX_PAYLOAD_BYTES}.",
                permanent=True,
            )
        name = f"{self._stack}-{function}"
        answers = self._answers
        answers.count = answers.throttled = 0
        try:
            client = self._clients.get(region) or self._client(region)
            answer = client.invoke(FunctionName=name, InvocationType="Event", Payload=body)
            # It is empty; unread, it would cost its connection, and the next call a handshake.
            answer["Payload"].read()
        except (BotoCoreError, ClientError) as error:
            raise InvokeError(
                f"{name} in {region} was not started: {error}",
                permanent=not _may_pass(error),
                retried=max(0, answers.count - 1),
                throttled=answers.throttled,
            ) from error
        return Invoked(retried=answers.count - 1, throttled=answers.throttled)

    def prepare(self, region: str) -> None:
        """Make the region's client now: it takes some tenths of a second of CPU."""
        self._client(region)

    def _client(self, region: str) -> LambdaClient:
        with self._making:  # a session cannot make two clients at once
            if region not in self._clients:
                client = self._session.client("lambda", region_name=region, config=self._config)
                client.meta.events.register("response-received.lambda.Invoke", self._answers)
                self._clients[region] = client
            return self._clients[region]


class _Answers(threading.local):
    """What came of each try of the call that this thread is making, boto3's own retries included."""

    count = 0
    throttled = 0

    def __call__(self, *, response_dict: Mapping[str, Any] | None, **_: Any) -> None:
        self.count += 1
        if response_dict is not None and response_dict["status_code"] == 429:
            self.throttled += 1


@cache
def invoker(stack: str, threads: int = DEFAULT_INVOKE_THREADS) -> LambdaInvoker:
    """The process's own, with its connections."""
    return LambdaInvoker(stack, threads=threads)


def _may_pass(error: BotoCoreError | ClientError) -> bool:
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or status in _PASSING
    return isinstance(error, (ConnectionError, HTTPClientError, CredentialRetrievalError))
