"""How people get an account: allauth's adapter. Sign-up by oneself is closed; operators and owners make users."""

from __future__ import annotations

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Our rules on top of allauth's."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False
