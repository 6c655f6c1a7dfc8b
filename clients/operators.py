"""Operators: staff of the service, made on the command line, since nobody can sign up as one."""

from __future__ import annotations

from django.db import transaction

from clients.people import Made, make_person


def make_operator(email: str, *, password: str | None) -> Made:
    """A new operator, or an existing user who becomes one; without a password the old one stays."""
    with transaction.atomic():
        made = make_person(email, password=password)
        made.user.is_staff = made.user.is_active = True
        made.user.save(update_fields=["is_staff", "is_active"])
    return made
