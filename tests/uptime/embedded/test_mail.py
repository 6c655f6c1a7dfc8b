"""Mail without a mail server: one readable file a message."""

from __future__ import annotations

import email
import email.policy
from pathlib import Path

from django.core.mail import EmailMultiAlternatives, get_connection
from django.test import override_settings


def test_each_message_is_a_file_of_its_own(tmp_path: Path) -> None:
    connection = get_connection("uptime.embedded.mail.FolderBackend")
    for number in range(3):
        message = EmailMultiAlternatives(
            f"Down {number}", "Seit 12 Uhr: schläft", "up@example.org", ["me@example.org"]
        )
        message.attach_alternative("<p>schläft</p>", "text/html")
        with override_settings(EMAIL_FILE_PATH=str(tmp_path / "mail")):
            assert connection.send_messages([message]) == 1

    files = sorted((tmp_path / "mail").iterdir())
    read = [
        email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files
    ]
    assert [message["Subject"] for message in read] == ["Down 0", "Down 1", "Down 2"]
    assert {file.suffix for file in files} == {".eml"}
    plain = read[0].get_body(("plain",))
    assert plain is not None
    assert "schläft" in plain.get_content()
