"""The forms of the values that say how and where probes run; as in `uptime.env_forms`."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from fanout_lambdas.planning import PRESETS, Topology
from fanout_lambdas.probe.name_servers import NameServer
from fanout_lambdas.shared.netguard import AllowList, Blocked, check_url
from uptime.env_forms import listed, refuse

TOPOLOGY_FORM = (
    "direct, fanout, batched, or two numbers: checks per worker (1 to 1000) and workers per triggerer "
    "(0 to 1000), such as 100,0"
)


def ca_file(text: str) -> str:
    expected = "a readable file of PEM certificates, named by an absolute path"
    path = Path(text)
    try:
        if not path.is_absolute() or "-----BEGIN CERTIFICATE-----" not in path.read_text():
            refuse(text, expected)
    except (OSError, ValueError):
        refuse(text, expected)
    return text


def networks(text: str) -> tuple[str, ...]:
    parts = listed(text)
    try:
        AllowList.parse(",".join(parts))
    except ValueError:
        refuse(text, "comma-separated networks, such as 10.0.0.0/8 or 127.0.0.1/32:8081")
    return tuple(parts)


def name_servers(text: str) -> tuple[NameServer, ...]:
    try:
        return NameServer.parse_all(text)
    except ValueError:
        refuse(text, "addresses of name servers, such as 10.0.0.2 or 10.0.0.2:5353")


def region_names(text: str) -> tuple[str, ...]:
    names = listed(text)
    if not all(re.fullmatch(r"[a-z][a-z0-9-]{0,31}", name) for name in names):
        refuse(text, "comma-separated names of lower-case letters, digits and hyphens")
    return tuple(names)


def is_aws_region(name: str) -> bool:
    """By its form: AWS adds regions faster than a list of ours would follow."""
    return re.fullmatch(r"[a-z]{2,5}(-[a-z]+){1,3}-[1-9][0-9]?", name) is not None


def is_public_https(url: str) -> bool:
    """Whether machines on the Internet may find it there; the port is the operator's own affair."""
    parts = urlsplit(url)
    try:
        check_url(f"https://{parts.netloc.rpartition('@')[2].removesuffix(f':{parts.port}')}/")
    except Blocked:
        return False
    return parts.scheme == "https"


def engine(text: str) -> str:
    if text not in {"celery", "lambda"}:
        refuse(text, "celery or lambda")
    return text


def topology(text: str) -> Topology:
    if text in PRESETS:
        return PRESETS[text]
    numbers = re.fullmatch(r"([0-9]{1,4})\s*,\s*([0-9]{1,4})", text)
    if numbers is None:
        refuse(text, TOPOLOGY_FORM)
    checks, workers = int(numbers[1]), int(numbers[2])
    if not 1 <= checks <= 1000 or workers > 1000:
        refuse(text, TOPOLOGY_FORM)
    return Topology(checks_per_worker=checks, workers_per_triggerer=workers)


def stack(text: str) -> str:
    # The longest name made of it, of a function, must stay below AWS's 64 characters.
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,39}", text):
        refuse(text, "up to 40 letters, digits and hyphens, beginning with a letter")
    return text


def in_flight(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1000:
        refuse(text, "a whole number from 1 to 1000")
    return int(text)
