"""What a failing target answered, short and without anybody's secrets."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote, quote_plus

from fanout_lambdas.probe.content import charset_of
from fanout_lambdas.probe.escapes import unescaped
from fanout_lambdas.shared.contracts import MAX_EVIDENCE_BODY, Evidence, Probe

HIDDEN = "[hidden]"
_MAX_HEADERS = 40
_MAX_VALUE = 300
_SHORTEST_SECRET = 4  # shorter values would blot out ordinary text
_MAX_REACH = 256 * 1024
_SENSITIVE = re.compile(r"cookie|auth|token|secret|session|password|api-?key|signature", re.I)
# Values of headers that a client sets for other reasons than to prove who it is.
_HARMLESS = frozenset({"accept", "accept-language", "cache-control", "content-type", "user-agent"})
_NEVER_ESCAPED = re.compile(r"[A-Za-z0-9._~-]*")
_HEX_PAIR = re.compile(r"%[0-9A-F]{2}")
_LONGEST_ESCAPED = 4_096  # a longer text (a request's body) is only looked for as it is
_WORDS = re.compile(r"[^\s\"'&=:,;{}\[\]<>()]+")

_BINARY_SAMPLE = 512
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r\f\x1b")) + b"\x7f"
_SHOWN_BYTES = 32


def secrets_of(probe: Probe) -> list[str]:
    """The texts that must not come back in anything we store, longest first: each secret as it is
    and as servers escape it when they echo it."""
    found = {value for name, value in probe.headers.items() if name.lower() not in _HARMLESS}
    for value in tuple(found):
        # "Bearer abc": a server may echo the credential alone.
        found.update(value.split())
    if probe.auth is not None:
        found |= {probe.auth.password, probe.auth.token}
        if probe.auth.type == "basic":
            found.add(f"{probe.auth.username}:{probe.auth.password}")
    if probe.body:
        # A password in it may be echoed alone.
        found |= {probe.body, *_values(probe.body)}
    if probe.send:
        # Likewise; what the check expects to read is none.
        said = unescaped(probe.send).decode("utf-8", "replace")
        found |= {said, *(word for word in said.split() if word not in probe.expect)}
    if not found:
        return []
    forms = {form for text in found if len(text) >= _SHORTEST_SECRET for form in _forms(text)}
    return sorted(forms, key=len, reverse=True)


def scrub(text: str, secrets: Sequence[str]) -> str:
    """`text` without the secrets, nor the beginning of one that is cut off at its end."""
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    for secret in secrets:
        at = text.find(secret[:_SHORTEST_SECRET], max(0, len(text) - len(secret) + 1))
        while at >= 0:
            if secret.startswith(text[at:]):
                text = text[:at] + HIDDEN
                break
            at = text.find(secret[:_SHORTEST_SECRET], at + 1)
    return text


def gather(
    headers: Iterable[tuple[str, str]], body: bytes | bytearray, charset: str, probe: Probe
) -> Evidence:
    """The first headers and the beginning of the body; of a body that is no text its first bytes."""
    secrets = secrets_of(probe)
    shown: list[tuple[str, str]] = []
    for name, value in headers:
        if len(shown) == _MAX_HEADERS:
            break
        clean = HIDDEN if _SENSITIVE.search(name) else scrub(value, secrets)
        shown.append((storable(name)[:100], storable(clean)[:_MAX_VALUE]))
    return Evidence(headers=tuple(shown), body=_excerpt(body, charset_of(charset), secrets))


def storable(text: str) -> str:
    """Without NUL and lone surrogates, which neither JSON readers nor the database accept."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _excerpt(body: bytes | bytearray, charset: str, secrets: Sequence[str]) -> str:
    if not charset.startswith(("utf-16", "utf-32")) and _is_binary(body[:_BINARY_SAMPLE]):
        return f"Not text; it begins with the bytes {body[:_SHOWN_BYTES].hex(' ')}."
    # A secret may begin inside the excerpt and end after it, so more is read than is kept.
    reach = 4 * (MAX_EVIDENCE_BODY + (len(secrets[0]) if secrets else 0))
    text = bytes(body[: min(reach, _MAX_REACH)]).decode(charset, "replace")
    if secrets:
        text = scrub(text[: MAX_EVIDENCE_BODY + len(secrets[0])], secrets)
    return storable(text[:MAX_EVIDENCE_BODY])


def _is_binary(sample: bytes | bytearray) -> bool:
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    return controls * 20 > len(sample)


def _values(body: str) -> Iterator[str]:
    """The values inside a request's body, be it JSON, a form or plain words."""
    if len(body) > _LONGEST_ESCAPED:
        return
    yield from _WORDS.findall(body)
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return
    waiting = [document]
    while waiting:
        match waiting.pop():
            case str() as text:
                yield text
            case dict() as members:
                waiting += members.values()
            case list() as elements:
                waiting += elements


def _forms(secret: str) -> Iterator[str]:
    yield secret
    if len(secret) > _LONGEST_ESCAPED:
        return
    raw = secret.encode("utf-8", "replace")
    yield base64.b64encode(raw).decode("ascii").rstrip("=")
    yield base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")
    if _NEVER_ESCAPED.fullmatch(secret):
        return
    for safe in ("", "/", "!*'()", ";,/?:@&=+$#!*'()"):
        escaped = quote(secret, safe=safe, errors="replace")
        yield escaped
        yield _HEX_PAIR.sub(lambda pair: pair[0].lower(), escaped)
    escaped = quote_plus(secret, errors="replace")
    yield escaped
    yield _HEX_PAIR.sub(lambda pair: pair[0].lower(), escaped)
    for text in (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        yield text
        yield text.replace("/", "\\/")
    # Few probes get here: a table of all of HTML's names is not loaded with every worker.
    import html

    for text in (html.escape(secret), html.escape(secret, quote=False)):
        yield text
        yield text.replace("&quot;", "&#34;").replace("&#x27;", "&#39;")
