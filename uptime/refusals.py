"""Keeps the logs short for what a caller did wrong: anybody may send a wrong Host header, as often as they like."""

from __future__ import annotations

import logging


class OneLineRefusals(logging.Filter):
    """Takes the traceback from the record of an answer of 4xx; our own faults keep theirs."""

    def filter(self, record: logging.LogRecord) -> bool:
        if 400 <= getattr(record, "status_code", 500) < 500:
            record.exc_info = record.exc_text = None
        return True
