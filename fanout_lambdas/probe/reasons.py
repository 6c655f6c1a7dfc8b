"""Every way a probe can end without a usable answer: the contract's reason and a sentence."""

from __future__ import annotations

import errno
import ssl

from fanout_lambdas.probe.decoding import TooLarge, Undecodable
from fanout_lambdas.probe.framing import BadAnswer
from fanout_lambdas.probe.phases import CONNECT, DOING, TLS, Stopwatch
from fanout_lambdas.probe.shortage import is_shortage
from fanout_lambdas.probe.tls import CertificateRejected, UnknownName
from fanout_lambdas.probe.transport import NoAnswer
from fanout_lambdas.shared.contracts import Probe, Reason
from fanout_lambdas.shared.guarded_connect import Unresolved
from fanout_lambdas.shared.netguard import Blocked


class BadRedirect(Exception):
    """The redirect chain itself is at fault; the message says how."""


_CONNECTING = {
    errno.ECONNREFUSED: "The connection was refused.",
    errno.EHOSTUNREACH: "There is no route to the host.",
    errno.ENETUNREACH: "There is no route to the network.",
    errno.ETIMEDOUT: "Nothing answered at the address.",
    errno.EADDRNOTAVAIL: "There is no route to the address.",
    errno.ECONNRESET: "The server reset the connection.",
}
_RESETS = (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED)


def explain(error: BaseException, probe: Probe, watch: Stopwatch) -> tuple[Reason, str]:
    """Reason and sentence for any exception; what is unknown here is our own fault."""
    match error:
        case CertificateRejected():
            return error.reason, error.message
        case Blocked():
            return Reason.BLOCKED, f"Not allowed ({error.rule}): {error.message}"
        case Unresolved():
            return Reason.DNS, str(error)
        case BadRedirect():
            return Reason.REDIRECT, str(error)
        case TooLarge():
            return Reason.TOO_LARGE, f"The answer is larger than {_size(probe.max_body_bytes)}."
        case Undecodable():
            return Reason.DECODE, f"The answer cannot be read: {error}."
        case TimeoutError():
            doing = f" while {DOING[watch.phase]}" if watch.phase is not None else ""
            return Reason.TIMEOUT, f"Timed out after {probe.timeout_ms / 1_000:g} s{doing}."
        case UnknownName():
            return Reason.TLS, str(error)
        case ssl.SSLError():
            return Reason.TLS, _tls(error, watch)
        case NoAnswer():
            return Reason.CONNECTION, str(error)
        case OSError() if is_shortage(error):
            return Reason.INTERNAL, f"The prober has run short of resources: {error.strerror}."
        case OSError():
            return _network(error, watch)
        case BadAnswer():
            return Reason.PROTOCOL, str(error)
    return Reason.INTERNAL, f"The prober failed ({type(error).__name__})."


def _network(error: OSError, watch: Stopwatch) -> tuple[Reason, str]:
    if watch.phase == CONNECT:
        known = _CONNECTING.get(error.errno or 0)
        return Reason.CONNECTION, known or f"The connection failed: {error.strerror or error}."
    if error.errno in _RESETS:
        if watch.phase == TLS:
            return Reason.TLS, "The server reset the connection in the TLS handshake."
        return Reason.CONNECTION, "The server reset the connection."
    return Reason.CONNECTION, f"The connection broke: {error.strerror or 'unknown fault'}."


def _tls(error: ssl.SSLError, watch: Stopwatch) -> str:
    """OpenSSL's word for the fault, for people."""
    name = error.reason or ""
    greeting = watch.phase == TLS
    if greeting and isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "The server closed the connection in the TLS handshake."
    if greeting and name in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNEXPECTED_MESSAGE"):
        return "The server does not speak TLS on this port."
    if greeting and ("VERSION" in name or name == "UNSUPPORTED_PROTOCOL"):
        return "The server speaks no TLS version that is still safe (1.2 or newer)."
    if name in ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_BAD_CERTIFICATE"):
        return "The server demands a client certificate."
    _, alert, words = name.replace("_", " ").lower().partition(" alert ")
    if greeting and (alert or not name):  # the newer alerts have no name in this interpreter
        return f"The server refused the TLS handshake{f' ({words})' if words else ''}."
    return (
        f"The TLS connection failed: {words or name.replace('_', ' ').lower() or 'unknown fault'}."
    )


def _size(count: int) -> str:
    if count >= 1024 * 1024:
        return f"{count / 1024 / 1024:g} MiB"
    return f"{count / 1024:.3g} kiB" if count >= 1024 else f"{count} byte" + "s" * (count != 1)
