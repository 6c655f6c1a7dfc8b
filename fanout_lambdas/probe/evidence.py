"""What a failing target answered, short and without anybody's secrets."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable

from fanout_lambdas.probe.escapes import unescaped
from fanout_lambdas.shared.contracts import MAX_EVIDENCE_BODY, Evidence, Probe

HIDDEN = "[hidden]"
_MAX_HEADERS = 40
_MAX_VALUE = 300
_SHORTEST_SECRET = 4  # shorter values would blot out ordinary text
_SENSITIVE = re.compile(r"cookie|auth|token|secret|session|password|api-?key|signature", re.I)
# Values of headers that a client sets for other reasons than to prove who it is.
_HARMLESS = frozenset({"accept", "accept-language", "cache-control", "content-type", "user-agent"})


def secrets_of(probe: Probe) -> list[str]:
    """The texts that must not come back in anything we store, longest first."""
    found = {value for name, value in probe.headers.items() if name.lower() not in _HARMLESS}
    for value in tuple(found):
        # "Bearer abc": a server may echo the credential alone.
        found.update(value.split())
    if probe.auth is not None:
        pair = f"{probe.auth.username}:{probe.auth.password}".encode()
        found |= {probe.auth.password, probe.auth.token, base64.b64encode(pair).decode()}
    if probe.body:
        found.add(probe.body)
    if probe.send:
        # A password in it may be echoed alone; what the check expects to read is none.
        said = unescaped(probe.send).decode("utf-8", "replace")
        found |= {said, *(word for word in said.split() if word not in probe.expect)}
    return sorted((text for text in found if len(text) >= _SHORTEST_SECRET), key=len, reverse=True)


def scrub(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    return text


def gather(headers: Iterable[tuple[str, str]], body: bytes, charset: str, probe: Probe) -> Evidence:
    secrets = secrets_of(probe)
    shown: list[tuple[str, str]] = []
    for name, value in headers:
        if len(shown) == _MAX_HEADERS:
            break
        clean = HIDDEN if _SENSITIVE.search(name) else scrub(value, secrets)
        shown.append((_storable(name)[:100], _storable(clean)[:_MAX_VALUE]))
    # A secret may begin inside the excerpt and end after it, so more is read than is kept.
    reach = MAX_EVIDENCE_BODY + (len(secrets[0]) * 4 if secrets else 0)
    try:
        text = body[:reach].decode(charset, "replace")
    except LookupError:
        text = body[:reach].decode("utf-8", "replace")
    return Evidence(headers=tuple(shown), body=_storable(scrub(text, secrets))[:MAX_EVIDENCE_BODY])


def _storable(text: str) -> str:
    """Without NUL and lone surrogates, which neither JSON readers nor the database accept."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
