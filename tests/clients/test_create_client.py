"""`manage.py create_client`: how a client comes to be without the demo."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client as Browser

from clients.models import Client, Membership, User

pytestmark = pytest.mark.django_db


def run(*args: str, **options: Any) -> str:
    out = io.StringIO()
    call_command("create_client", *args, stdout=out, **options)
    return out.getvalue()


def test_the_new_owner_signs_in_and_may_make_checks() -> None:
    said = run("Acme Ltd", "Ada@Example.com", generate=True, limit=50)
    assert "Acme Ltd is a new client (acme-ltd) with a plan of 50 checks." in said
    client = Client.objects.get()
    place = Membership.objects.for_client(client).get()
    assert (client.check_limit, place.role, place.user.is_staff) == (50, "owner", False)
    browser = Browser()
    password = said.rsplit("Password: ", 1)[1].strip()
    form = {"login": "ada@example.com", "password": password}
    assert browser.post("/accounts/login/", form).status_code == 302
    assert browser.get("/checks/new/").status_code == 200


def test_an_existing_user_becomes_owner_and_keeps_the_password() -> None:
    User.objects.create_user("ada@example.com", "a long pass phrase")
    for name in ("One", "Two"):
        assert "The password is as it was." in run(name, "ada@example.com")
    assert User.objects.get().check_password("a long pass phrase")
    assert Membership.objects.across_clients().filter(role="owner").count() == 2


def test_a_password_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("a long pass phrase\n"))
    assert "Password" not in run("Acme", "ada@example.com", password_stdin=True)
    assert User.objects.get().check_password("a long pass phrase")


@pytest.mark.parametrize(
    ("name", "email", "limit"),
    [
        ("", "ada@example.com", 10),
        ("A\nB", "ada@example.com", 10),
        ("A", "ada", 10),
        ("A", "a@b.test", -1),
    ],
)
def test_wrong_values_are_said_in_words_and_leave_nothing(
    name: str, email: str, limit: int
) -> None:
    with pytest.raises(CommandError):
        run(name, email, generate=True, limit=limit)
    assert not User.objects.exists()
    assert not Client.objects.exists()
