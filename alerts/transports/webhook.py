"""Webhooks signed by the Standard Webhooks scheme: the same id and the same body bytes on every attempt."""

from __future__ import annotations

from standardwebhooks import Webhook

from alerts.transports import http
from alerts.transports.base import BadTarget, Failed, Letter, Sent
from fanout_lambdas.shared.netguard import Blocked

MAX_TARGET = 2_048


class WebhookTransport:
    """POSTs the rendered body to the client's own endpoint."""

    def __init__(self, *, total_s: float = http.TOTAL_S) -> None:
        self._total_s = total_s

    def clean_target(self, target: str) -> str:
        url = target.strip()
        if not url:
            raise BadTarget("The URL must not be empty.")
        if len(url) > MAX_TARGET:
            raise BadTarget(f"The URL is longer than {MAX_TARGET} characters.")
        try:
            http.guard().check_url(url)
        except Blocked as blocked:
            raise BadTarget(blocked.message, rule=blocked.rule) from None
        return url

    def send(self, letter: Letter) -> Sent | Failed:
        body = str(letter.message["body"])
        # A new time and so a new signature on each attempt: receivers refuse what is older than five minutes.
        signatures = [
            Webhook(secret).sign(msg_id=letter.message_id, timestamp=letter.now, data=body)
            for secret in letter.secrets
        ]
        headers = {
            "content-type": "application/json; charset=utf-8",
            "webhook-id": letter.message_id,
            "webhook-timestamp": str(int(letter.now.timestamp())),
            "webhook-signature": " ".join(signatures),
        }
        return http.post(
            letter.target,
            body=body.encode(),
            headers=headers,
            now=letter.now,
            total_s=self._total_s,
        )
