"""Errors of the REST API as problem details (RFC 9457), each with `errors: [{"field", "rule", "message"}]`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ObjectDoesNotExist, PermissionDenied
from django.core.exceptions import ValidationError as DjangoValidationError
from django.http import Http404, JsonResponse
from rest_framework import exceptions
from rest_framework.views import set_rollback

from clients.rate import RateLimited

CONTENT_TYPE = "application/problem+json"
NOT_FOUND = "There is no such thing here."

Errors = list[dict[str, str]]

# Words of DRF and Django for rules, where ours are shorter.
_RULES = {
    "required": "required",
    "null": "type",
    "blank": "empty",
    "invalid": "type",
    "not_a_list": "type",
    "not_a_dict": "type",
    "invalid_choice": "choice",
    "max_length": "length",
    "min_length": "length",
    "max_value": "range",
    "min_value": "range",
    "null_characters_not_allowed": "nul",
    "surrogate_characters_not_allowed": "unicode",
}


class Problem(exceptions.APIException):
    """A problem of our own making, when DRF has no exception for it."""

    def __init__(self, status: int, detail: str, *, errors: Errors | None = None) -> None:
        super().__init__(detail)
        self.status_code = status
        self.errors = errors or []


def problem_response(error: Exception, context: Mapping[str, Any]) -> JsonResponse | None:
    """DRF's exception handler. None lets what nobody foresaw become a 500 in the log."""
    headers: dict[str, str] = {}
    errors: Errors = []
    if isinstance(error, DjangoValidationError):
        status, errors = 400, list(_of_django(error))
        detail = _sentence(errors)
    elif isinstance(error, RateLimited):
        status, detail = 429, error.message
        headers["Retry-After"] = str(error.retry_after)
    elif isinstance(error, Http404 | ObjectDoesNotExist):  # deleted by another request just now
        status, detail = 404, NOT_FOUND
    elif isinstance(error, PermissionDenied):
        status, detail = 403, str(error) or "This key or role may not do that."
    elif isinstance(error, exceptions.APIException):
        status = error.status_code
        headers = _headers(error)
        if isinstance(error, exceptions.ValidationError):
            errors = list(_of_drf(error.get_full_details()))
            detail = _sentence(errors)
        else:
            errors = getattr(error, "errors", [])
            detail = str(error.detail)
    else:
        return None
    set_rollback()
    return problem(status, detail, errors=errors, headers=headers)


def problem(
    status: int,
    detail: str,
    *,
    errors: Errors | None = None,
    headers: Mapping[str, str] | None = None,
) -> JsonResponse:
    """The answer itself; `type` is about:blank, so `title` is the status in words.

    Always JSON, whatever the view renders: an error page in the middle of an API helps nobody.
    """
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "errors": errors or [],
    }
    return JsonResponse(body, status=status, headers=headers, content_type=CONTENT_TYPE)


def _headers(error: exceptions.APIException) -> dict[str, str]:
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(int(wait))
    return headers


def _sentence(errors: Errors) -> str:
    if len(errors) == 1:
        return errors[0]["message"]
    return f"{len(errors)} fields are wrong." if errors else "The request is wrong."


def _of_django(error: DjangoValidationError) -> Iterator[dict[str, str]]:
    if not hasattr(error, "error_dict"):
        for each in error.error_list:
            yield _item("", each.code or "invalid", each.messages[0])
        return
    for field, found in error.error_dict.items():
        name = "" if field == NON_FIELD_ERRORS else field
        for each in found:
            yield _item(name, each.code or "invalid", each.messages[0])


def _of_drf(details: Any, path: str = "") -> Iterator[dict[str, str]]:
    """Flatten `{"a": {"b": [{"message", "code"}]}}` to one item for each message, with a dotted path."""
    if isinstance(details, Mapping):
        if set(details) == {"message", "code"} and not isinstance(details["code"], Mapping | list):
            code = str(details["code"])
            yield _item(path, _RULES.get(code, code), str(details["message"]))
            return
        for name, inner in details.items():
            own = "" if name == "non_field_errors" else str(name)
            yield from _of_drf(inner, ".".join(part for part in (path, own) if part))
    elif isinstance(details, Sequence):
        for at, inner in enumerate(details):
            leaf = isinstance(inner, Mapping) and set(inner) == {"message", "code"}
            if inner:
                yield from _of_drf(inner, path if leaf else f"{path}.{at}" if path else str(at))


def _item(field: str, rule: str, message: str) -> dict[str, str]:
    return {"field": field, "rule": rule, "message": message}
