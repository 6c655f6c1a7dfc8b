"""People who were made by a command or a service can switch on two-factor sign-in."""

from __future__ import annotations

from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import (
    format_hotp_value,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.core.exceptions import ValidationError
from django.test import Client as Browser

from clients import services
from clients.models import User
from clients.operators import make_operator
from clients.people import confirm_address, make_person
from tests.conftest import PASSWORD, Personas


def sign_in(email: str, password: str) -> Browser:
    """By the form, as people do."""
    browser = Browser()
    answer = browser.post("/accounts/login/", {"login": email, "password": password})
    assert answer.status_code == 302, answer.content.decode()
    return browser


def activation(browser: Browser, password: str) -> Any:
    """The page that switches it on; the password is asked for once more before it opens."""
    url = "/accounts/2fa/totp/activate/"
    asked = browser.get(url)
    if asked.status_code == 302 and "/reauthenticate/" in asked["Location"]:
        assert browser.get(asked["Location"]).status_code == 200
        answer = browser.post(asked["Location"], {"password": password, "next": url})
        assert (answer.status_code, answer["Location"]) == (302, url)
        return browser.get(url)
    return asked


def verified(user: User) -> list[tuple[str, bool, bool]]:
    rows = EmailAddress.objects.filter(user=user).order_by("email")
    return [(row.email, row.verified, row.primary) for row in rows]


@pytest.mark.django_db
def test_a_person_made_here_can_switch_on_two_factor_sign_in() -> None:
    made = make_operator(" Ada@Example.com ", password=PASSWORD)
    assert (made.user.email, made.created, made.password_set) == ("ada@example.com", True, True)
    browser = sign_in("ada@example.com", PASSWORD)
    page = activation(browser, PASSWORD)
    assert page.status_code == 200
    secret = page.context["form"].secret
    now = next(yield_hotp_counters_from_time())
    code = format_hotp_value(hotp_value(secret, now))
    done = browser.post("/accounts/2fa/totp/activate/", {"code": code})
    assert (done.status_code, Authenticator.objects.filter(user=made.user).exists()) == (302, True)


def test_an_unverified_address_is_confirmed_by_the_next_act(
    personas: Personas,
) -> None:
    EmailAddress.objects.create(user=personas.stranger, email=personas.stranger.email, primary=True)
    browser = sign_in(personas.stranger.email, PASSWORD)
    refused = browser.get("/accounts/2fa/totp/activate/")
    assert (refused.status_code, refused["Location"]) == (302, "/accounts/2fa/")
    services.add_member(client=personas.client, user=personas.stranger, role="viewer", actor=None)
    assert verified(personas.stranger) == [("stranger@other.test", True, True)]
    assert activation(browser, PASSWORD).status_code == 200


def test_another_primary_address_steps_back_and_a_taken_one_is_refused(personas: Personas) -> None:
    EmailAddress.objects.create(user=personas.owner, email="old@acme.test", primary=True)
    for _ in range(2):
        confirm_address(personas.owner)
    assert verified(personas.owner) == [
        ("old@acme.test", False, False),
        ("owner@acme.test", True, True),
    ]
    EmailAddress.objects.create(user=personas.editor, email="new@acme.test", verified=True)
    with pytest.raises(ValidationError, match="another account"):
        make_person("new@acme.test", password=PASSWORD)
    assert not User.objects.filter(email="new@acme.test").exists()
