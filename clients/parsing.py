"""What a request to the API may carry: bounded, strict JSON. Whatever cannot be stored is refused here, with 400."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import IO, Any

from rest_framework.parsers import BaseParser

from clients.problems import Problem
from fanout_lambdas.shared.contracts import ContractError, decode
from fanout_lambdas.shared.contracts.reading import Twice

MAX_BYTES = 1 << 20
MAX_DEPTH = 20
_LARGEST = 2**63


class StrictJSONParser(BaseParser):
    """JSON objects in UTF-8: no NaN, no infinities, no repeated names, no NUL, no lone surrogates."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise Problem(413, f"The request is larger than {MAX_BYTES} bytes.")
        try:
            document = decode(data)
        except ContractError as error:
            raise Problem(400, error.message, errors=[error.to_json()]) from None
        errors = [error.to_json() for error in _faults(document, "", 0)]
        if errors:
            raise Problem(400, errors[0]["message"], errors=errors[:20])
        if not isinstance(document, dict):
            raise Problem(
                400,
                "The request must be a JSON object.",
                errors=[ContractError("", "type", "The request must be a JSON object.").to_json()],
            )
        return document


def _faults(value: Any, path: str, depth: int) -> Iterator[ContractError]:
    if depth > MAX_DEPTH:
        yield ContractError(path, "depth", f"Nested deeper than {MAX_DEPTH} levels.")
    elif isinstance(value, dict):
        if isinstance(value, Twice):
            yield ContractError(path, "duplicate", "A name stands twice in one object.")
        for name, inner in value.items():
            if fault := _text_fault(name):
                yield ContractError(path, fault[0], f"A field's name {fault[1]}.")
            else:
                yield from _faults(inner, f"{path}.{name[:40]}" if path else name[:40], depth + 1)
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _faults(inner, f"{path}.{at}", depth + 1)
    elif isinstance(value, str):
        if fault := _text_fault(value):
            yield ContractError(path, fault[0], f"{path or 'The text'} {fault[1]}.")
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield ContractError(path, "range", f"{path or 'The number'} is too large.")
    elif isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        yield ContractError(path, "range", f"{path or 'The number'} is too large.")


def _text_fault(text: str) -> tuple[str, str] | None:
    if "\0" in text:
        return "nul", "contains the NUL character"
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            return "unicode", "contains half of a surrogate pair"
    return None
