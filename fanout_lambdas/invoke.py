"""How one fan-out function starts another: a small protocol, and its AWS Lambda form (hops 1, 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fanout_lambdas.shared.contracts import MAX_PAYLOAD_BYTES, encode

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

DISPATCHER, TRIGGERER, WORKER = "dispatcher", "triggerer", "worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoked:
    """An accepted invocation: how often it was tried again before, and how often of that for a 429."""

    retried: int = 0
    throttled: int = 0


class InvokeError(Exception):
    """An invocation that was not accepted. `permanent`: the same call can never succeed.

    `throttled` counts the refusals with 429, the last one included; `retried` the tries after the first.
    """

    def __init__(
        self, message: str, *, permanent: bool, retried: int = 0, throttled: int = 0
    ) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retried = retried
        self.throttled = throttled


class Invoker(Protocol):
    """Returns once the invocation is accepted, not once it is done; raises InvokeError.

    The payload's `region` says where. Several threads may call it at once.
    """

    def invoke(self, function: str, payload: Mapping[str, Any]) -> Invoked: ...


class LambdaInvoker:
    """Asynchronous invocations through one boto3 client; `names` maps our names to AWS's."""

    def __init__(self, client: LambdaClient, names: Mapping[str, str]) -> None:
        self._client = client
        self._names = names

    def invoke(self, function: str, payload: Mapping[str, Any]) -> Invoked:
        body = encode(payload)
        if len(body) > MAX_PAYLOAD_BYTES:
            raise InvokeError(
                f"The payload for {function} has {len(body)} bytes, the limit is "
                f"{MAX_PAYLOAD_BYTES}.",
                permanent=True,
            )
        name = self._names.get(function, function)
        try:
            self._client.invoke(FunctionName=name, InvocationType="Event", Payload=body)
        except Exception as error:  # botocore's classes are made at run time
            raise _translated(function, error) from error
        return Invoked()


def _translated(function: str, error: Exception) -> InvokeError:
    answer = getattr(error, "response", {})
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    throttled = status == 429
    return InvokeError(
        f"{function} was not started: {error}",
        permanent=400 <= status < 500 and not throttled,
        throttled=int(throttled),
    )
