"""The transports by kind of channel: a new kind is one file and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from alerts.transports.base import Transport
from alerts.transports.email import EmailTransport
from alerts.transports.webhook import WebhookTransport

TRANSPORTS: Final[Mapping[str, Transport]] = {
    "email": EmailTransport(),
    "webhook": WebhookTransport(),
}
