"""The Invoke API as boto3 speaks it (API_Invoke): one address for all regions, told apart by the signature's scope."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from bench.emulator.capacity import Throttle
from bench.emulator.region import Region
from bench.emulator.run import Call, Outcome, new_trace
from bench.emulator.spec import ACCOUNT
from bench.emulator.wire import Request

MAX_BYTES = {"Event": 1_048_576, "RequestResponse": 6_291_456}
PATH = re.compile(r"/2015-03-31/functions/(?P<name>[^/?]+)/invocations(?:\?.*)?$")
ARN = re.compile(
    r"(?:arn:aws[a-z-]*:lambda:)?(?:[a-z0-9-]+:)?(?:\d{12}:)?(?:function:)?(?P<name>[\w-]+)(?::.+)?$"
)
SCOPE = re.compile(r"Credential=[^/]+/\d{8}/(?P<region>[a-z0-9-]+)/lambda/aws4_request")
EXECUTED = {"X-Amz-Executed-Version": "$LATEST"}


class InvokeApi:
    """`latency_s`: every answer comes that much later, without CPU, as over a real network."""

    def __init__(self, regions: Mapping[str, Region], *, latency_s: float) -> None:
        self._regions, self._latency_s = regions, latency_s
        self._loop = asyncio.get_running_loop()

    def serve(self, request: Request) -> None:
        path = PATH.match(request.path)
        if path is None or request.method != "POST":
            self._refuse(request, 404, "UnknownOperationException", {"message": "Not found"})
            return
        name = ARN.match(unquote(path["name"]))
        region_name = self._region_name(request)
        region = self._regions.get(region_name)
        if name is None or region is None or name["name"] not in region.functions:
            arn = f"arn:aws:lambda:{region_name}:{ACCOUNT}:function:{unquote(path['name'])}"
            self._refuse(
                request,
                404,
                "ResourceNotFoundException",
                {"Type": "User", "Message": f"Function not found: {arn}"},
            )
            return
        self._invoke(request, region, name["name"])

    def _invoke(self, request: Request, region: Region, name: str) -> None:
        kind = request.headers.get("x-amz-invocation-type", "RequestResponse")
        if kind == "DryRun":
            self._answer(request, 204, b"", {})
            return
        if kind not in MAX_BYTES:
            what = f"InvocationType is {kind}, it must be Event, RequestResponse or DryRun."
            self._refuse_user(request, 400, "InvalidParameterValueException", what)
            return
        if len(request.body) > MAX_BYTES[kind]:
            what = (
                f"{len(request.body)} byte payload is too large for the {kind} invocation type "
                f"(limit {MAX_BYTES[kind]} bytes)"
            )
            self._refuse_user(request, 413, "RequestTooLargeException", what)
            return
        try:
            json.loads(request.body or b"{}")
        except ValueError as error:
            what = f"Could not parse request body into json: {error}"
            self._refuse_user(request, 400, "InvalidRequestContentException", what)
            return
        if reason := region.refuse(name):
            self._throttle(request, reason)
            return
        call = Call(
            payload=request.body or b"{}",
            # Passed on in synchronous invocations alone (API_Invoke).
            client_context=request.headers.get("x-amz-client-context")
            if kind == "RequestResponse"
            else None,
            trace=request.headers.get("x-amzn-trace-id") or new_trace(),
        )
        if kind == "Event":
            region.start(name, call)
            self._answer(request, 202, b"", {"x-amzn-RequestId": call.request_id})
            return

        def answer(outcome: Outcome) -> None:
            headers = EXECUTED | {
                "Content-Type": "application/json",
                "x-amzn-RequestId": call.request_id,
            }
            if outcome.error:
                headers["X-Amz-Function-Error"] = outcome.error
            self._answer(request, 200, outcome.payload, headers)

        if reason := region.invoke(name, call, answer):
            self._throttle(request, reason)

    def _region_name(self, request: Request) -> str:
        scope = SCOPE.search(request.headers.get("authorization", ""))
        return scope["region"] if scope else next(iter(self._regions))

    def _throttle(self, request: Request, reason: Throttle) -> None:
        said = {"Reason": reason.value, "Type": "User", "message": "Rate Exceeded."}
        self._refuse(request, 429, "TooManyRequestsException", said)

    def _refuse_user(self, request: Request, status: int, code: str, what: str) -> None:
        self._refuse(request, status, code, {"Type": "User", "message": what})

    def _refuse(self, request: Request, status: int, code: str, said: dict[str, Any]) -> None:
        headers = {"Content-Type": "application/json", "x-amzn-ErrorType": code}
        self._answer(request, status, json.dumps(said).encode(), headers)

    def _answer(
        self, request: Request, status: int, body: bytes, headers: Mapping[str, str]
    ) -> None:
        if self._latency_s:
            self._loop.call_later(self._latency_s, request.answer, status, body, headers)
        else:
            request.answer(status, body, headers)
