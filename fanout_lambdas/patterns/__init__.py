"""Regular expressions and JSON paths: compiled in one room for workers and for whoever saves a
check, so that nothing is saved that no worker would run.

Each engine is loaded with the first pattern that needs it; most probes have none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fanout_lambdas.shared.contracts import Probe

if TYPE_CHECKING:
    from fanout_lambdas.patterns.json_path import JsonPath
    from fanout_lambdas.patterns.regex import Regex


def compile_regex(pattern: str, field: str = "regex") -> Regex:
    """ContractError with the rule "regex" names `field`, the place and what is wrong there."""
    from fanout_lambdas.patterns import regex

    return regex.compiled(pattern, field)


def compile_json_path(path: str, field: str = "json") -> JsonPath:
    """ContractError with the rule "json_path" names `field`, the place and what is wrong there."""
    from fanout_lambdas.patterns import json_path

    return json_path.compiled(path, field)


def check_patterns(probe: Probe) -> None:
    """ContractError for the first pattern of the probe that no worker would run."""
    for name in ("regex", "regex_absent"):
        for at, pattern in enumerate(getattr(probe, name)):
            compile_regex(pattern, f"{name}.{at}")
    for at, header in enumerate(probe.header):
        if header.op == "matches":
            compile_regex(header.value, f"header.{at}.value")
    for at, rule in enumerate(probe.json):
        compile_json_path(rule.path, f"json.{at}.path")
