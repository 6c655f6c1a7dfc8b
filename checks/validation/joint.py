"""Rules over several fields; told at a field that was given, and only when all of them are sound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.core.exceptions import ValidationError

from checks.heartbeats.schedule import check_schedule
from checks.models.check import Kind
from checks.targets import FORM_OF_TARGET
from checks.validation.records import judge_record
from fanout_lambdas.shared.contracts import ContractError
from fanout_lambdas.shared.netguard import Blocked, Guard

_NEED_A_BODY: Final = (
    *("keyword", "keyword_absent", "regex", "regex_absent", "json", "min_body_bytes"),
)
Errors = dict[str, ValidationError]


def judge(
    kind: Kind, whole: Mapping[str, Any], given: Mapping[str, Any], errors: Errors, guard: Guard
) -> None:
    """Add what is wrong with `whole` to the errors."""
    if kind is Kind.HEARTBEAT:
        _judge_schedule(whole, errors)
        return
    _judge_target(kind, whole, given, errors, guard)
    _judge_timing(whole, given, errors)
    _judge_regions(whole, errors)
    if kind is Kind.DNS and whole["name_server"] and "name_server" in set(given) - set(errors):
        _judge_name_server(whole["name_server"], errors, guard)
    if kind is Kind.DNS:
        _judge_records(whole, given, errors)
    if kind is Kind.HTTP:
        _judge_request(whole, errors)
        _judge_sizes(whole, given, errors)


def _judge_schedule(whole: Mapping[str, Any], errors: Errors) -> None:
    if {"cron", "timezone"} & set(errors):
        return
    try:
        check_schedule(whole["cron"], whole["timezone"])
    except ContractError as error:
        errors[error.field] = ValidationError(error.message, code=error.rule)


def _judge_target(
    kind: Kind, whole: Mapping[str, Any], given: Mapping[str, Any], errors: Errors, guard: Guard
) -> None:
    """The address guard, which is stricter with a check that sends a text of the tenant's."""
    url, send = whole["url"], whole["send"]
    if {"url", "send"} & set(errors) or not {"url", "send"} & set(given):
        return
    try:
        guard.check_url(url, kind=kind)
    except Blocked as blocked:
        foreign = kind is not Kind.HTTP and blocked.rule in {"scheme", "path"}
        words = FORM_OF_TARGET[kind] if foreign else blocked.message
        errors["url"] = ValidationError(words, code=blocked.rule)
        return
    if send:
        try:
            guard.check_url(url, kind=kind, sends=True)
        except Blocked as blocked:
            errors["send"] = ValidationError(blocked.message, code=blocked.rule)


def _judge_name_server(text: str, errors: Errors, guard: Guard) -> None:
    try:
        guard.check_name_server(text)
    except Blocked as blocked:
        errors["name_server"] = ValidationError(blocked.message, code=blocked.rule)


def _judge_records(whole: Mapping[str, Any], given: Mapping[str, Any], errors: Errors) -> None:
    """What a record of this type can never be would be down for ever."""
    fields = {"record_type", "record_values"}
    if fields & set(errors) or not fields & set(given):
        return
    try:
        for text in whole["record_values"]:
            judge_record(text, whole["record_type"])
    except ValueError as error:
        errors["record_values"] = ValidationError(str(error), code="record")


def _judge_timing(whole: Mapping[str, Any], given: Mapping[str, Any], errors: Errors) -> None:
    timing = {"timeout_ms", "interval_s"}
    most = (whole["interval_s"] - 1) * 1000
    if not timing & set(errors) and timing & set(given) and whole["timeout_ms"] > most:
        errors["timeout_ms"] = ValidationError(
            f"With an interval of {whole['interval_s']} s the timeout may be {most // 1_000} s at most.",
            code="interval",
        )


def _judge_regions(whole: Mapping[str, Any], errors: Errors) -> None:
    if "regions" not in whole or {"quorum", "regions"} & set(errors):
        return
    count = len(whole["regions"])
    if whole["quorum"] is not None and whole["quorum"] > count:
        errors["quorum"] = ValidationError(
            f"The quorum cannot be larger than the number of regions ({count}).", code="range"
        )


def _judge_request(whole: Mapping[str, Any], errors: Errors) -> None:
    if "method" not in errors:
        if whole["method"] in {"GET", "HEAD"} and whole["body"] and "body" not in errors:
            errors["body"] = ValidationError(
                f"A {whole['method']} request is sent without a body.", code="method"
            )
        if whole["method"] == "HEAD":
            for name in _NEED_A_BODY:
                if whole[name] and name not in errors:
                    errors[name] = ValidationError(
                        "The answer to HEAD has no body to look into. Use GET.", code="method"
                    )
    own = {name.lower() for name in whole["headers"]}
    if whole["auth"] and "authorization" in own and not {"auth", "headers"} & set(errors):
        errors["auth"] = ValidationError(
            "The headers have an Authorization line of their own. Keep one of the two.",
            code="duplicate",
        )


def _judge_sizes(whole: Mapping[str, Any], given: Mapping[str, Any], errors: Errors) -> None:
    sizes = {"min_body_bytes", "max_body_bytes"}
    if sizes & set(errors) or not sizes & set(given) or whole["min_body_bytes"] is None:
        return
    if whole["min_body_bytes"] > whole["max_body_bytes"]:
        errors["min_body_bytes"] = ValidationError(
            f"No more than {whole['max_body_bytes']} bytes of an answer are read.", code="range"
        )
