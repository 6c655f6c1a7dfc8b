"""Pages of the REST API: keyset paging with an opaque cursor, named orderings, and no unknown parameters."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import ValidationError
from django.db.models import Field, Model, Q
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from clients.problems import Problem

DEFAULT_LIMIT, MOST = 50, 100
OWN_PARAMETERS = frozenset({"cursor", "limit", "ordering"})


def refuse(field: str, rule: str, message: str) -> Problem:
    """A 400 that names one query parameter."""
    return Problem(400, message, errors=[{"field": field, "rule": rule, "message": message}])


def read_limit(request: Request) -> int:
    text = request.query_params.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= MOST):
        raise refuse("limit", "range", f"limit must be a whole number from 1 to {MOST}.")
    return int(text)


def refuse_unknown(request: Request, known: frozenset[str]) -> None:
    """A mistyped filter must not quietly answer with everything."""
    for name in request.query_params:
        if name not in known:
            shown = name[:40]
            raise refuse(shown, "unknown", f"{shown} is not a parameter of this list.")


def write_cursor(*parts: str | int) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def read_cursor(request: Request, kinds: Sequence[type]) -> list[Any] | None:
    """The parts of the cursor, None on the first page."""
    text = request.query_params.get("cursor")
    if text is None:
        return None
    try:
        parts = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_"))
        if [type(part) for part in parts] != list(kinds):
            raise ValueError
        if any("\0" in part if type(part) is str else not 0 <= part < 2**63 for part in parts):
            raise ValueError
        json.dumps(parts, ensure_ascii=False).encode()  # no lone surrogates
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise bad_cursor() from None
    return list(parts)


def bad_cursor() -> Problem:
    return refuse("cursor", "cursor", "This cursor is not one that we gave out for this list.")


def page(request: Request, items: Sequence[Any], next_cursor: str | None) -> Response:
    """The shape of every list: `{"next": URL or null, "results": [...]}`."""
    following = None
    if next_cursor is not None:
        query = {**request.query_params.dict(), "cursor": next_cursor}
        following = request.build_absolute_uri(f"{request.path}?{urlencode(query)}")
    return Response({"next": following, "results": items})


class KeysetPagination(BasePagination):
    """Pages after the last row seen, so that rows that come and go neither repeat nor hide others.

    The view's `orderings` name the columns that may be sorted by (never null, never private).
    """

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        self.request = request
        orderings: Mapping[str, str] = view.orderings
        self.ordering = request.query_params.get("ordering", view.default_ordering)
        name, descending = self.ordering.removeprefix("-"), self.ordering.startswith("-")
        if name not in orderings:
            listed = ", ".join(sorted(orderings))
            raise refuse(
                "ordering", "choice", f"ordering must be one of {listed}, with - for down."
            )
        self.column = orderings[name]
        limit = read_limit(request)
        step = "lt" if descending else "gt"
        if (parts := read_cursor(request, (str, str, int))) is not None:
            ordering, text, pk = parts
            if ordering != self.ordering:
                raise bad_cursor()
            column: Field[Any, Any] = queryset.model._meta.get_field(self.column)
            try:
                value = column.to_python(text)
            except ValidationError:
                raise bad_cursor() from None
            if isinstance(value, int) and not -(2**63) <= value < 2**63:
                raise bad_cursor()
            queryset = queryset.filter(
                Q(**{f"{self.column}__{step}": value})
                | Q(**{self.column: value, f"pk__{step}": pk})
            )
        sign = "-" if descending else ""
        rows = list(queryset.order_by(f"{sign}{self.column}", f"{sign}pk")[: limit + 1])
        self.following = self._cursor(rows[limit - 1]) if len(rows) > limit else None
        return rows[:limit]

    def get_paginated_response(self, data: Any) -> Response:
        return page(self.request, data, self.following)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return page_schema(schema)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        names = [f"{sign}{name}" for name in view.orderings for sign in ("", "-")]
        return [
            _parameter("cursor", "Opaque; taken from `next`.", {"type": "string"}),
            _parameter("limit", "Rows a page.", {"type": "integer", "minimum": 1, "maximum": MOST}),
            _parameter("ordering", "Column, with - for down.", {"type": "string", "enum": names}),
        ]

    def _cursor(self, row: Model) -> str:
        value = getattr(row, self.column)
        text = value.isoformat() if isinstance(value, datetime) else str(value)
        return write_cursor(self.ordering, text, int(row.pk))


def page_schema(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["next", "results"],
        "properties": {
            "next": {"type": ["string", "null"], "format": "uri"},
            "results": schema,
        },
    }


def _parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": schema,
    }
