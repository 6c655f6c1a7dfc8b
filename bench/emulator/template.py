"""Reads the functions of a SAM template as they would be deployed: so what is measured is what is deployed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cfnlint.decode.cfn_yaml import load  # type: ignore[import-untyped]

from bench.emulator.intrinsics import Intrinsics
from bench.emulator.spec import FunctionSpec

FUNCTION = "AWS::Serverless::Function"
READ = {
    "FunctionName",
    "Handler",
    "MemorySize",
    "Timeout",
    "ReservedConcurrentExecutions",
    "EventInvokeConfig",
}
LOGGING = {"LogFormat": "AWS_LAMBDA_LOG_FORMAT", "ApplicationLogLevel": "AWS_LAMBDA_LOG_LEVEL"}
"""The variables by which Lambda tells its runtime how to log."""
DEFAULT_MEMORY_MB, DEFAULT_TIMEOUT_S = 128, 3  # AWS::Lambda::Function


def functions_in(
    template: Path,
    *,
    code: Path,
    python: Path = Path(sys.executable),
    region: str = "us-east-1",
    stack: str = "uptime",
    parameters: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> tuple[FunctionSpec, ...]:
    """Every function of the template in one region, by its deployed name.

    `parameters` take the place of the template's defaults. `environment` takes the place of variables
    in each function, above all of those that only AWS can resolve, such as secrets. Raises
    ValueError, naming resource and property, where a value cannot be known.
    """
    document = load(str(template))
    intrinsics = Intrinsics(document, region=region, stack=stack, parameters=parameters or {})
    shared = document.get("Globals", {}).get("Function", {})
    given = environment or {}
    found = []
    for name, resource in document["Resources"].items():
        if resource["Type"] != FUNCTION:
            continue
        merged = _merged(shared, resource.get("Properties", {}))
        try:
            properties = intrinsics.resolve(_read(merged, given))
            found.append(
                _spec(
                    properties,
                    default_name=f"{stack}-{name}",
                    code=code,
                    python=python,
                    region=region,
                    environment=given,
                )
            )
        except ValueError as error:
            raise ValueError(f"{template.name}, {name}: {error}") from None
    if not found:
        raise ValueError(f"{template.name} has no {FUNCTION}.")
    return tuple(found)


def _read(properties: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """What is read of a function, without the variables whose place is taken."""
    wanted = {key: value for key, value in properties.items() if key in READ}
    variables = properties.get("Environment", {}).get("Variables", {})
    left = {key: value for key, value in variables.items() if key not in given}
    logging = properties.get("LoggingConfig", {})
    told = {key: value for key, value in logging.items() if key in LOGGING}
    return {**wanted, "LoggingConfig": told, "Environment": {"Variables": left}}


def _spec(
    properties: Mapping[str, Any],
    *,
    default_name: str,
    code: Path,
    python: Path,
    region: str,
    environment: Mapping[str, str],
) -> FunctionSpec:
    invoke = properties.get("EventInvokeConfig", {})
    on_failure = invoke.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
    reserved = properties.get("ReservedConcurrentExecutions")
    variables = properties["Environment"]["Variables"]
    return FunctionSpec(
        name=properties.get("FunctionName", default_name),
        handler=properties["Handler"],
        memory_mb=int(properties.get("MemorySize", DEFAULT_MEMORY_MB)),
        timeout_s=float(properties.get("Timeout", DEFAULT_TIMEOUT_S)),
        environment={
            **{LOGGING[key]: str(value) for key, value in properties["LoggingConfig"].items()},
            **{key: str(value) for key, value in variables.items()},
            **environment,
        },
        root=code,
        python=python,
        region=region,
        reserved=None if reserved is None else int(reserved),
        retries=int(invoke.get("MaximumRetryAttempts", 2)),
        event_age_s=int(invoke.get("MaximumEventAgeInSeconds", 21_600)),
        on_failure=None if on_failure is None else str(on_failure).rpartition(":")[2],
    )


def _merged(shared: Any, own: Any) -> Any:
    """As SAM merges Globals: maps by key, lists one after the other, else the function's own."""
    if isinstance(shared, dict) and isinstance(own, dict):
        both = shared.keys() & own.keys()
        return {**shared, **own, **{key: _merged(shared[key], own[key]) for key in both}}
    if isinstance(shared, list) and isinstance(own, list):
        return [*shared, *own]
    return own
