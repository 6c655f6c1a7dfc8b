"""The web application as a fresh process serves it."""

from __future__ import annotations

import os
import subprocess
import sys

_FIRST_REQUEST = """
import io, os
from uptime.wsgi import application
environ = {
    "REQUEST_METHOD": "POST", "PATH_INFO": "/api/v1/checks", "CONTENT_LENGTH": "50",
    "SERVER_NAME": "localhost", "SERVER_PORT": "80", "wsgi.url_scheme": "http",
    "wsgi.input": io.BytesIO(b"too few"), "wsgi.errors": io.StringIO(),
}
print(b"".join(application(environ, lambda status, headers: print(status))).decode())
"""


def test_the_very_first_request_may_be_a_refused_one() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FIRST_REQUEST], capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("400 Bad Request\n"), done.stderr
    assert "could not be read to its end" in done.stdout


def test_a_wrong_setting_stops_the_start_with_a_sentence() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import uptime.wsgi"],
        env=os.environ | {"SECRET_KEY": "too short", "DJANGO_SETTINGS_MODULE": "uptime.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "SECRET_KEY is only 9 characters long. Expected a random text" in done.stderr
