"""Settings of the fan-out functions: read from the environment in this one place, for a deployment
without Django; the Celery engine builds the same objects from its own settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from fanout_lambdas.probe.name_servers import NameServer
from fanout_lambdas.shared.netguard import NOTHING_ALLOWED, AllowList

T = TypeVar("T")

PRODUCT = "Uptime/1.0"
# Bounds memory (65 MB at 500 over TLS). What keeps times honest is the pace of starts: on the CPU of 512 MB,
# 100 TLS probes at once are under 20 ms off at p95 with any limit, and 350 ms and more without it (bench.accuracy).
DEFAULT_IN_FLIGHT = 500


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
    """Also the triggerer's; `functions` maps our names to those of the deployment."""

    object_store_url: str
    functions: Mapping[str, str]

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> DispatcherConfig:
        names = {
            name: environ.get(f"UPTIME_FUNCTION_{name.upper()}", "").strip()
            for name in ("triggerer", "worker")
        }
        return cls(
            object_store_url=environ.get("OBJECT_STORE_URL", "").strip(),
            functions={name: value or f"uptime-{name}" for name, value in names.items()},
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
    if not text.isdecimal() or not 1 <= int(text) <= 1_000:
        raise ValueError("it must be a whole number from 1 to 1000")
    return int(text)


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
