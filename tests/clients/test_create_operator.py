"""`manage.py create_operator`."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from clients.models import User

pytestmark = pytest.mark.django_db


def run(email: str, **options: Any) -> str:
    out = io.StringIO()
    call_command("create_operator", email, stdout=out, **options)
    return out.getvalue()


def test_a_password_is_made_and_printed() -> None:
    said = run("Ada@Example.com", generate=True)
    user = User.objects.get()
    assert (user.email, user.is_staff, user.is_superuser) == ("ada@example.com", True, False)
    assert user.check_password(said.rsplit("Password: ", 1)[1].strip())


def test_a_password_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("a long pass phrase\n"))
    assert "Password" not in run("ada@example.com", password_stdin=True)
    assert User.objects.get().check_password("a long pass phrase")


def test_a_user_becomes_an_operator_when_told_so_and_keeps_the_password() -> None:
    User.objects.create_user("ada@example.com", "a long pass phrase")
    with pytest.raises(CommandError, match="--promote"):
        run("ada@example.com")
    assert not User.objects.get().is_staff
    for options in ({"promote": True}, {}):  # one who is an operator already needs no word
        run("ada@example.com", **options)
        user = User.objects.get()
        assert user.is_staff
        assert user.check_password("a long pass phrase")


@pytest.mark.parametrize(("typed", "staff"), [("y\n", True), ("\n", False), ("no\n", False)])
def test_at_a_terminal_it_asks(monkeypatch: pytest.MonkeyPatch, typed: str, staff: bool) -> None:
    User.objects.create_user("ada@example.com", "a long pass phrase")
    terminal = io.StringIO(typed)
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    if staff:
        run("ada@example.com")
    else:
        with pytest.raises(CommandError, match="Nothing was changed"):
            run("ada@example.com")
    assert User.objects.get().is_staff is staff


@pytest.mark.parametrize(("email", "password"), [("ada", "x" * 20), ("ada@example.com", "short")])
def test_wrong_values_are_said_in_words(
    monkeypatch: pytest.MonkeyPatch, email: str, password: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(password))
    with pytest.raises(CommandError):
        run(email, password_stdin=True)
    assert not User.objects.exists()
