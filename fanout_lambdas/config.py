"""Settings of the fan-out functions: read from the environment in this one place, for a deployment
without Django; the Celery engine builds the same objects from its own settings."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from fanout_lambdas.probe.name_servers import NameServer
from fanout_lambdas.shared.netguard import NOTHING_ALLOWED, AllowList

T = TypeVar("T")
_STACK = re.compile(r"[A-Za-z0-9_-]{1,50}")

PRODUCT = "Uptime/1.0"
# Bounds memory (65 MB at 500 over TLS). What keeps times honest is the pace of starts: on the CPU of 512 MB,
# 100 TLS probes at once are under 20 ms off at p95 with any limit, and 350 ms and more without it (bench.accuracy).
DEFAULT_IN_FLIGHT = 500
DEFAULT_STACK = "uptime"
DEFAULT_INVOKE_THREADS = 20


class ConfigError(Exception):
    """A variable is missing or of the wrong form; the message names both."""


def user_agent(contact: str = "") -> str:
    """Who probes, and where its owner can be reached."""
    return f"{PRODUCT} (+{contact})" if contact else PRODUCT


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    region: str
    ingest_url: str
    key_id: str
    secret: bytes = field(repr=False)
    object_store_url: str
    sealing_keys: tuple[str, ...] = field(default=(), repr=False)
    in_flight: int = DEFAULT_IN_FLIGHT
    allow: AllowList = NOTHING_ALLOWED
    user_agent: str = PRODUCT
    ca_file: str | None = None
    name_servers: tuple[NameServer, ...] = ()

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> WorkerConfig:
        return cls(
            region=_needed(environ, "UPTIME_REGION"),
            ingest_url=_read(environ, "UPTIME_INGEST_URL", _http_url),
            key_id=_needed(environ, "UPTIME_INGEST_KEY_ID"),
            secret=_needed(environ, "UPTIME_INGEST_SECRET").encode("utf-8"),
            object_store_url=_needed(environ, "OBJECT_STORE_URL"),
            sealing_keys=_list(environ.get("UPTIME_SEALING_KEYS", "")),
            in_flight=_read(environ, "PROBE_IN_FLIGHT", _in_flight, str(DEFAULT_IN_FLIGHT)),
            allow=_read(environ, "UPTIME_ALLOW_NETWORKS", AllowList.parse, ""),
            user_agent=user_agent(environ.get("UPTIME_CONTACT", "").strip()),
            ca_file=environ.get("UPTIME_CA_FILE", "").strip() or None,
            name_servers=_read(environ, "PROBE_RESOLVER", NameServer.parse_all, ""),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatcherConfig:
    """Also the triggerer's. `stack` begins the names of the deployment's functions; `threads` start invocations."""

    object_store_url: str
    stack: str = DEFAULT_STACK
    threads: int = DEFAULT_INVOKE_THREADS

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> DispatcherConfig:
        threads = str(DEFAULT_INVOKE_THREADS)
        return cls(
            object_store_url=_needed(environ, "OBJECT_STORE_URL"),
            stack=_read(environ, "UPTIME_STACK", _stack, DEFAULT_STACK),
            threads=_read(environ, "UPTIME_INVOKE_THREADS", _threads, threads),
        )


def _needed(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "").strip()
    if not value:
        raise ConfigError(f"{name} is not set.")
    return value


def _read(
    environ: Mapping[str, str], name: str, form: Callable[[str], T], default: str | None = None
) -> T:
    value = _needed(environ, name) if default is None else environ.get(name, "").strip() or default
    try:
        return form(value)
    except ValueError as error:
        raise ConfigError(f"{name} is {value!r}: {error}.") from None


def _http_url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError("it must begin with http:// or https://")
    return text


def _in_flight(text: str) -> int:
    return _whole(text, 1_000)


def _threads(text: str) -> int:
    return _whole(text, 200)


def _whole(text: str, most: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and 1 <= int(text) <= most):
        raise ValueError(f"it must be a whole number from 1 to {most}")
    return int(text)


def _stack(text: str) -> str:
    # AWS allows a function's name 64 of these characters, and `-dispatcher` is part of it.
    if not _STACK.fullmatch(text):
        raise ValueError("it must be 1 to 50 letters, digits, - or _")
    return text


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
