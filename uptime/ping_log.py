"""Keeps the keys of ping addresses out of every log: whoever reads logs could otherwise call for a job."""

from __future__ import annotations

import logging
import re
import traceback

_ADDRESS = re.compile(r"(/ping/)[^/?\s\"']+")
_DIGIT = r"(?:[0-9a-f]|%(?:25)*(?:3[0-9]|[46][1-6]))"
_DASH = r"(?:-|%(?:25)*2d)?"
_KEY = re.compile(
    rf"{_DIGIT}{{8}}{_DASH}(?:{_DIGIT}{{4}}{_DASH}){{3}}{_DIGIT}{{12}}", re.IGNORECASE
)
"""32 hex digits in the form of a UUID, percent-encoded or not."""
_HIDDEN = "(key)"
WEB_SERVER_LOGS = ("gunicorn.access", "gunicorn.error")


class HidePingKeys(logging.Filter):
    """Rewrites a record that names a ping address or holds a key anywhere; others pass as they are."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if (hidden := _hide(text)) != text:
            record.msg, record.args = hidden, ()
        if record.exc_info and not record.exc_text:
            record.exc_text = "".join(traceback.format_exception(*record.exc_info)).rstrip()
        if record.exc_text:
            record.exc_text = _hide(record.exc_text)
        return True


def _hide(text: str) -> str:
    return _KEY.sub(_HIDDEN, _ADDRESS.sub(rf"\1{_HIDDEN}", text))


def watch_web_server() -> None:
    """The web server writes its log of requests, and of its own faults, with handlers of its own."""
    for name in WEB_SERVER_LOGS:
        logger = logging.getLogger(name)
        if not any(isinstance(each, HidePingKeys) for each in logger.filters):
            logger.addFilter(HidePingKeys())
