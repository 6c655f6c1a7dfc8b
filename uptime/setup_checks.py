"""Django system checks of the configuration: wrong values stop every command with one readable sentence each."""

from __future__ import annotations

import difflib
import importlib.util
import os
from collections.abc import Sequence
from typing import Any, Final

from django.apps import AppConfig
from django.conf import settings
from django.core import checks

from uptime.env import KNOWN, Environment

# Brokers and stores beyond the embedded ones need a package that a small installation can do without.
PACKAGES: Final = {
    "redis": ("redis", "redis packaging"),
    "rediss": ("redis", "redis packaging"),
    "amqp": ("amqp", "amqp"),
    "amqps": ("amqp", "amqp"),
    "sqs": ("boto3", "celery[sqs]"),
    "s3": ("boto3", "boto3"),
}


def register_checks() -> None:
    """Called once, when the application is ready."""
    checks.register(check_environment, "environment")


def check_environment(
    *, app_configs: Sequence[AppConfig] | None, **_: Any
) -> list[checks.CheckMessage]:
    """One error for each wrong variable, a warning for each that we do not know."""
    environment: Environment = settings.ENVIRONMENT
    found: list[checks.CheckMessage] = [
        checks.Error(
            f"{problem.variable} is {problem.got}",
            hint=f"Expected {problem.expected}.",
            id="uptime.E001",
        )
        for problem in environment.problems
    ]
    found += _missing_packages(environment)
    if environment.probe_engine == "lambda" and not environment.canaries:
        found.append(
            checks.Warning(
                "UPTIME_CANARIES is not set: a worker on AWS cannot tell trouble of its own from a client's",
                hint="Name two or three addresses of your own that are always up.",
                id="uptime.W002",
            )
        )
    found += _unknown(list(os.environ))
    return found


def _missing_packages(environment: Environment) -> list[checks.CheckMessage]:
    chosen = {
        "CELERY_BROKER_URL": environment.celery_broker_url,
        "OBJECT_STORE_URL": environment.object_store_url,
    }
    found: list[checks.CheckMessage] = []
    for variable, url in chosen.items():
        scheme = url.partition("://")[0]
        module, install = PACKAGES.get(scheme, ("", ""))
        if module and importlib.util.find_spec(module) is None:
            found.append(
                checks.Error(
                    f"{variable} begins with {scheme}://, which needs a package that is not installed",
                    hint=f"Run .venv/bin/pip install {install}",
                    id="uptime.E002",
                )
            )
    return found


def _unknown(names: list[str]) -> list[checks.CheckMessage]:
    found: list[checks.CheckMessage] = []
    for name in names:
        if name.startswith("UPTIME_") and name not in KNOWN:
            near = difflib.get_close_matches(name, KNOWN, n=1)
            found.append(
                checks.Warning(
                    f"{name} is set, but there is no such variable",
                    hint=f"Did you mean {near[0]}?" if near else "docs/settings.md lists them all.",
                    id="uptime.W001",
                )
            )
    return found
