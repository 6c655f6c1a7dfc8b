"""The forms of the environment's values: each function takes a text and gives a value or `ConfigError`."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from email.utils import parseaddr
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

SECRET_KEY_FORM = "a random text of at least 32 characters, kept for ever"
KEYS_FORM = (
    "comma-separated keys of 32 random bytes in URL-safe base64, the newest first "
    '(python -c "import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())")'
)
DATABASE_FORM = "postgresql://USER:PASSWORD@HOST:PORT/NAME (or ?host=/socket/folder)"
BROKER_FORM = "redis://, rediss://, amqp://, amqps://, sqs:// or pgmq:// with host and path"
STORE_FORM = "file:///absolute/folder or s3://bucket/prefix"
EMAIL_FORM = "smtp://USER:PASSWORD@HOST:PORT, smtp+starttls://..., smtps://... or file:// for files"
URL_FORM = "an address such as https://uptime.example.org, without a path"


class ConfigError(ValueError):
    """A value that does not have the form expected; `got` has its secrets masked."""

    def __init__(self, got: str, expected: str) -> None:
        super().__init__(f"{got}; expected {expected}")
        self.got = got
        self.expected = expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """How mail leaves, in the words of Django's settings."""

    backend: str
    host: str = ""
    port: int = 25
    user: str = ""
    password: str = ""
    starttls: bool = False
    tls: bool = False


def boolean(text: str) -> bool:
    known = {"1": True, "true": True, "yes": True, "on": True}
    known |= {"0": False, "false": False, "no": False, "off": False}
    if text.lower() not in known:
        refuse(text, "1 or 0")
    return known[text.lower()]


def secret_key(text: str) -> str:
    if len(text) < 32:
        raise ConfigError(f"only {len(text)} characters long", SECRET_KEY_FORM)
    return text


def encryption_keys(text: str) -> list[str]:
    keys = listed(text)
    for number, key in enumerate(keys, start=1):
        try:
            size = len(base64.b64decode(key, altchars=b"-_", validate=True))
        except (binascii.Error, ValueError):
            raise ConfigError(f"wrong in key {number} (not base64)", KEYS_FORM) from None
        if size != 32:
            raise ConfigError(f"wrong in key {number} ({size} bytes)", KEYS_FORM)
    return keys


def absolute_path(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.is_absolute():
        refuse(text, "an absolute folder, such as /var/lib/uptime/mine")
    return path


def site_url(text: str) -> str:
    parts = _split(text, URL_FORM)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        refuse(text, URL_FORM)
    if parts.path.strip("/") or parts.query or parts.username:
        refuse(text, URL_FORM)
    return f"{parts.scheme}://{parts.netloc}"


def http_url(text: str) -> str:
    parts = _split(text, "an http:// or https:// address")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        refuse(text, "an http:// or https:// address")
    return text


def http_urls(text: str) -> tuple[str, ...]:
    return tuple(http_url(part) for part in listed(text))


def database_url(text: str) -> str:
    parts = _split(text, DATABASE_FORM)
    if parts.scheme not in {"postgres", "postgresql"} or len(parts.path) < 2:
        refuse(text, DATABASE_FORM)
    return text


def database_settings(url: str) -> dict[str, Any]:
    """Django's DATABASES entry for a URL of the form above."""
    parts = urlsplit(url)
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path[1:]),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", "") or unquote(parts.hostname or ""),
        "PORT": options.pop("port", "") or str(parts.port or ""),
        # A server that does not answer must not hold a report or a page: ingest says 503, the worker spools.
        "OPTIONS": {"connect_timeout": "3", "tcp_user_timeout": "5000", **options},
        # A server that came back after a crash is found again by the check before each request.
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }


def broker_url(text: str) -> str:
    parts = _split(text, BROKER_FORM)
    if parts.scheme not in {"redis", "rediss", "amqp", "amqps", "sqs", "pgmq", "memory"}:
        refuse(text, BROKER_FORM)
    if parts.scheme in {"redis", "rediss", "amqp", "amqps"} and not parts.hostname:
        refuse(text, BROKER_FORM)
    return text


def broker_address(url: str) -> str:
    """The URL that Celery is told; it wants a host even where the options name the whole address."""
    return "pgmq://localhost" if url.partition("://")[2] == "" and url.startswith("pgmq:") else url


def broker_options(url: str, *, database_url: str) -> dict[str, Any]:
    """Celery's transport options; `pgmq://` without a host means the product's own database."""
    parts = urlsplit(url)
    if parts.scheme != "pgmq":
        return {}
    options: dict[str, Any] = {
        "init_extension": False,  # the functions are installed by a migration, as plain SQL
        "use_notify": True,
        "wait_time_seconds": 0,
        "polling_interval": 5,
        "notify_throttle_interval_ms": 0,
        "visibility_timeout": 300,
        "pool_size": 4,
    }
    if not parts.hostname:
        options["conn_string"] = _queue_address(database_url)
    return options


def _queue_address(url: str) -> str:
    """The database as pgmq must be told: it joins the parts without quoting, so they bring their quotes along."""
    settings = database_settings(url)
    extra = "".join(f" {name}={_quoted(value)}" for name, value in settings["OPTIONS"].items())
    parts = {
        "host": _quoted(settings["HOST"] or "localhost"),
        "port": settings["PORT"] or "5432",
        "dbname": _quoted(settings["NAME"]) + extra,
        "user": _quoted(settings["USER"]),
        "password": _quoted(settings["PASSWORD"]),
    }
    return " ".join(f"{name}={_quoted(value)}" for name, value in parts.items())


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def object_store_url(text: str) -> str:
    parts = _split(text, STORE_FORM)
    folder = parts.scheme == "file" and not parts.netloc and parts.path.startswith("/")
    bucket = parts.scheme == "s3" and bool(parts.hostname)
    if not (folder or bucket):
        refuse(text, STORE_FORM)
    return text.rstrip("/")


def email_url(text: str) -> str:
    parts = _split(text, EMAIL_FORM)
    if parts.scheme == "file" and not parts.netloc and parts.path in {"", "/"}:
        return text
    if parts.scheme not in {"smtp", "smtp+starttls", "smtps"} or not parts.hostname:
        refuse(text, EMAIL_FORM)
    return text


def mail(url: str) -> Mail:
    """Django's mail settings for a URL of the form above."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Mail(backend="uptime.embedded.mail.FolderBackend")
    tls, starttls = parts.scheme == "smtps", parts.scheme == "smtp+starttls"
    return Mail(
        backend="django.core.mail.backends.smtp.EmailBackend",
        host=parts.hostname or "",
        port=parts.port or (465 if tls else 587 if starttls else 25),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        starttls=starttls,
        tls=tls,
    )


def mail_address(text: str) -> str:
    address = parseaddr(text)[1]
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", address):
        refuse(text, "a mail address, such as Uptime <uptime@example.org>")
    return text


def hosts(text: str) -> list[str]:
    names = listed(text)
    for name in names:
        if "/" in name or "://" in name or " " in name:
            refuse(text, "comma-separated host names without scheme and path")
    return names


def listed(text: str) -> list[str]:
    """The parts between commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _split(text: str, expected: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises for a port that is no number
    except ValueError:
        refuse(text, expected)
    return parts


def refuse(text: str, expected: str) -> NoReturn:
    """Raises ConfigError, with the secrets in `text` masked."""
    raise ConfigError(repr(masked(text)), expected)


def masked(text: str) -> str:
    """The text with passwords taken out, also of addresses too broken to be taken apart."""
    text = re.sub(r"(://[^:/?#]*:).*(@)", r"\1***\2", text)
    text = re.sub(r"(?i)\b(password|secret|token|key)=[^&\s]+", r"\1=***", text)
    return text if len(text) <= 120 else text[:117] + "..."
