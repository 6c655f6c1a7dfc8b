"""Operators: staff of the service, made on the command line, since nobody can sign up as one."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

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


def make_operator(email: str, *, password: str | None) -> Made:
    """A new operator, or an existing user who becomes one; without a password the old one stays."""
    email = email.strip().lower()
    try:
        validate_email(email)
    except ValidationError:
        raise ValidationError(f"{email!r} is not an e-mail address.", code="email") from None
    with transaction.atomic():
        user = User.objects.select_for_update().filter(email=email).first()
        created = user is None
        if user is None:
            if password is None:
                raise ValidationError("A new operator needs a password.", code="required")
            user = User(email=email)
        if password is not None:
            validate_password(password, user)
            user.set_password(password)
        user.is_staff = user.is_active = True
        user.save()
    return Made(user=user, created=created, password_set=password is not None)


def new_password() -> str:
    """About 100 random bits, without characters that look alike."""
    letters = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKMNPQRSTUVWXYZ23456789"
    return "-".join("".join(secrets.choice(letters) for _ in range(6)) for _ in range(3))
