"""Keeps the keys of ping addresses out of every log: whoever reads logs could otherwise call for a job."""

from __future__ import annotations

import logging
import re

_ADDRESS = re.compile(r"(/ping/)[^/?\s\"']+")
WEB_SERVER_LOG = "gunicorn.access"


class HidePingKeys(logging.Filter):
    """Rewrites a record that names a ping address; others pass as they are."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if "/ping/" in text:
            record.msg, record.args = _ADDRESS.sub(r"\1(key)", text), ()
        return True


def watch_web_server() -> None:
    """The web server writes its log of requests with a handler of its own."""
    logger = logging.getLogger(WEB_SERVER_LOG)
    if not any(isinstance(each, HidePingKeys) for each in logger.filters):
        logger.addFilter(HidePingKeys())
