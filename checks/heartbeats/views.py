"""`/ping/<key>`: where jobs call. Plain text, no session, no cookie; the key in the address is the only credential.

Every answer that is not OK says by its status whether trying again helps: 429 and 503 carry Retry-After, which
`curl --retry` follows.
"""

from __future__ import annotations

import hmac
import logging
import re

from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from checks.heartbeats.calls import Call, UnknownKey, record_call
from checks.heartbeats.health import ANSWER
from checks.heartbeats.keys import KEY, own_key
from checks.models import Ping
from clients.rate import RateLimited

logger = logging.getLogger(__name__)

METHODS = ("GET", "HEAD", "POST")
MOST_BODY = 10_000
"""Bytes kept of what a job sends along."""
RETRY_AFTER_S = 5
_RUN = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_KINDS = {
    "": Ping.Kind.SUCCESS,
    "start": Ping.Kind.START,
    "fail": Ping.Kind.FAIL,
    "log": Ping.Kind.LOG,
}


class BadCall(Exception):
    """A call of a form that we do not know; its text is the answer."""


@csrf_exempt
def ping(request: HttpRequest, rest: str) -> HttpResponse:
    """One call of a job: `<key>`, with /start, /fail, /log or /<exit status> behind it, and `?rid=`."""
    if request.method not in METHODS:
        answer = _say(405, "Call this address with GET, HEAD or POST.")
        answer["Allow"] = ", ".join(METHODS)
        return answer
    key, _, word = rest.rstrip("/").partition("/")
    if not KEY.fullmatch(key := key.lower()):
        return _unknown()
    try:
        record_call(key, _read(request, word), now=timezone.now())
    except BadCall as error:
        return _say(400, str(error))
    except UnknownKey:
        # By the same ways as everybody's call, up to here: the database was asked for the key.
        return _say(200, ANSWER) if hmac.compare_digest(key, own_key()) else _unknown()
    except RateLimited as error:
        return _later(429, error.message, error.retry_after)
    except (RequestDataTooBig, UnreadablePostError):
        return _say(400, "The body could not be read to its end.")
    except (DatabaseError, InterfaceError) as error:
        logger.error("a job's call was put off: %s", str(error).strip()[:200])
        return _later(503, "We cannot note this call right now; call again.", RETRY_AFTER_S)
    return _say(200, ANSWER)


def _read(request: HttpRequest, word: str) -> Call:
    kind, exit_status = _KINDS.get(word), None
    if kind is None:
        if not (word.isascii() and word.isdigit() and len(word) <= 3 and int(word) <= 255):
            raise BadCall(
                "After the key comes nothing, start, fail, log, or an exit status of 0 to 255."
            )
        exit_status = int(word)
        kind = Ping.Kind.FAIL if exit_status else Ping.Kind.SUCCESS
    runs = request.GET.getlist("rid")
    if len(runs) > 1:
        raise BadCall("rid must stand in the address only once.")
    if runs and not _RUN.fullmatch(runs[0]):
        raise BadCall("rid must be 1 to 64 letters, digits or one of . _ : -")
    body = request.read(MOST_BODY) if request.method == "POST" else b""
    return Call(
        kind=kind,
        exit_status=exit_status,
        run=runs[0] if runs else "",
        method=str(request.method),
        remote_address=request.META.get("REMOTE_ADDR", "")[:45],
        user_agent=_storable(request.headers.get("User-Agent", ""))[:200],
        body=_storable(body.decode("utf-8", "replace")),
    )


def _storable(text: str) -> str:
    """PostgreSQL knows no NUL, and UTF-8 no half of a surrogate pair."""
    return text.replace("\0", "�").encode("utf-8", "replace").decode()


def _unknown() -> HttpResponse:
    """The same for every key that is not one."""
    return _say(404, "There is no such address.")


def _later(status: int, text: str, retry_after: int) -> HttpResponse:
    answer = _say(status, text)
    answer["Retry-After"] = str(retry_after)
    return answer


def _say(status: int, text: str) -> HttpResponse:
    answer = HttpResponse(f"{text}\n", status=status, content_type="text/plain; charset=utf-8")
    answer["Cache-Control"] = "no-store"
    return answer
