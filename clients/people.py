"""People with an account: made by a command or a service, never by sign-up, so their address counts as theirs."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from allauth.account.models import EmailAddress
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from clients.models import User


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What became of the call."""

    user: User
    created: bool
    password_set: bool


def make_person(email: str, *, password: str | None) -> Made:
    """The user with this address, made if there is none; without a password an existing one keeps theirs."""
    email = clean_email(email)
    with transaction.atomic():
        user = User.objects.select_for_update().filter(email=email).first()
        created = user is None
        if user is None:
            if password is None:
                raise ValidationError(f"{email} is new and needs a password.", code="required")
            user = User(email=email)
        if password is not None:
            validate_password(password, user)
            user.set_password(password)
        if created or password is not None:
            user.save()
        confirm_address(user)
    return Made(user=user, created=created, password_set=password is not None)


def clean_email(email: str) -> str:
    """The address in lower case, or ValidationError."""
    email = email.strip().lower()
    try:
        validate_email(email)
    except ValidationError:
        raise ValidationError(f"{email!r} is not an e-mail address.", code="email") from None
    return email


def confirm_address(user: User) -> None:
    """Note the user's address as verified and primary: without that nobody can switch on two-factor sign-in."""
    if EmailAddress.objects.filter(email=user.email, verified=True).exclude(user=user).exists():
        raise ValidationError(f"{user.email} belongs to another account.", code="taken")
    rows = EmailAddress.objects.filter(user=user)
    rows.exclude(email=user.email).filter(primary=True).update(primary=False)
    rows.update_or_create(
        email=user.email, defaults={"user": user, "verified": True, "primary": True}
    )


def new_password() -> str:
    """About 100 random bits, without characters that look alike."""
    letters = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKMNPQRSTUVWXYZ23456789"
    return "-".join("".join(secrets.choice(letters) for _ in range(6)) for _ in range(3))
