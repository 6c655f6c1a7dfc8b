"""E-mail through Django's connection (SMTP, or files in an embedded installation), with text and HTML parts."""

from __future__ import annotations

import smtplib
from datetime import UTC
from email.utils import format_datetime, parseaddr
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.validators import EmailValidator

from alerts.transports.base import BadTarget, Failed, Letter, Sent, kept

MAX_TARGET: Final = 254
_is_address = EmailValidator(message="This is not an e-mail address.")


class EmailTransport:
    """One message to one address."""

    def clean_target(self, target: str) -> str:
        address = target.strip()
        if len(address) > MAX_TARGET:
            raise BadTarget(f"The address is longer than {MAX_TARGET} characters.")
        try:
            _is_address(address)
        except ValidationError as error:
            raise BadTarget(error.messages[0]) from None
        return address

    def send(self, letter: Letter) -> Sent | Failed:
        try:
            with get_connection() as connection:
                compose(letter, connection=connection).send()
        except smtplib.SMTPRecipientsRefused as error:
            return _refused(*next(iter(error.recipients.values())), theirs=True)
        except smtplib.SMTPDataError as error:
            return _refused(error.smtp_code, error.smtp_error, theirs=True)
        except smtplib.SMTPResponseException as error:
            # Greeting, sign-in and sender are between us and our own mail server: an operator will mend
            # them, and clients' alerts must still be there when that is done.
            return _refused(error.smtp_code, error.smtp_error, theirs=False)
        except smtplib.SMTPNotSupportedError as error:
            return Failed(permanent=True, status="smtp", answer=kept(str(error)))
        except TimeoutError:
            return _passing("timeout", "The mail server did not answer in time.")
        except (OSError, smtplib.SMTPException) as error:
            return _passing("connection", f"The mail server could not be reached: {error}")
        return Sent(status="250", answer="Taken by the mail server.")


def compose(letter: Letter, *, connection: object = None) -> EmailMultiAlternatives:
    """The message; its Message-ID follows from the id, so that a second copy is seen as the same mail."""
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
    domain = domain or urlsplit(settings.SITE_URL).hostname or "localhost"
    headers = {
        "Message-ID": f"<{letter.message_id}@{domain}>",
        "Date": format_datetime(letter.now.astimezone(UTC)),
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
    }
    if letter.message.get("thread"):
        # Never sent itself: mail readers put everything that refers to it into one conversation.
        headers["References"] = f"<{letter.message['thread']}@{domain}>"
    mail = EmailMultiAlternatives(
        subject=letter.message["subject"],
        body=letter.message["text"],
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[letter.target],
        headers=headers,
        connection=connection,
    )
    mail.attach_alternative(letter.message["html"], "text/html")
    return mail


def _refused(code: int, answer: bytes | str, *, theirs: bool) -> Failed:
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)
    permanent = theirs and 500 <= code < 600
    return Failed(permanent=permanent, status=str(code), answer=kept(f"{code} {text}"))


def _passing(status: str, answer: str) -> Failed:
    return Failed(permanent=False, status=status, answer=kept(answer))
