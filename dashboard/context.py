"""What the frame around each page needs: navigation, client switcher, role, theme, checks down (hop 10)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from checks.models import State
from checks.selectors import live_checks
from clients.access import places_of
from clients.models import Client, Membership, Theme


@dataclass(frozen=True, slots=True, kw_only=True)
class NavItem:
    """One entry of a navigation list; `current` is "page", "true" or empty, as aria-current wants it."""

    word: str
    href: str
    icon: str
    current: str = ""
    count: int = 0
    count_word: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThemeChoice:
    value: str
    word: str
    icon: str
    pressed: str


class Shell:
    """Everything is looked up when a template asks for it: fragments and errors pay for nothing."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @cached_property
    def membership(self) -> Membership | None:
        place: Membership | None = getattr(self._request, "membership", None)
        return place if place else None

    @cached_property
    def client(self) -> Client | None:
        return self.membership.client if self.membership else None

    @property
    def clients(self) -> list[Client]:
        if getattr(self._request, "user", None) is None:  # an error before anybody was known
            return []
        return [place.client for place in places_of(self._request)]

    @property
    def role_word(self) -> str:
        return self.membership.get_role_display() if self.membership else ""

    @cached_property
    def theme(self) -> str:
        """Empty when the device decides."""
        user = getattr(self._request, "user", None)
        chosen = getattr(user, "theme", Theme.SYSTEM)
        return "" if chosen == Theme.SYSTEM else str(chosen)

    @property
    def themes(self) -> list[ThemeChoice]:
        icons = {Theme.SYSTEM: "screen", Theme.LIGHT: "sun", Theme.DARK: "moon"}
        return [
            ThemeChoice(
                value=choice.value,
                word=str(choice.label),
                icon=icons[choice],
                pressed="true" if choice.value == (self.theme or Theme.SYSTEM) else "false",
            )
            for choice in Theme
        ]

    @property
    def switch_address(self) -> str:
        return reverse("clients:switch")

    @property
    def theme_address(self) -> str:
        return reverse("clients:theme")

    @cached_property
    def down(self) -> int:
        known: int | None = getattr(self._request, "checks_down", None)
        if known is not None:
            return known
        if self.client is None:
            return 0
        return live_checks(self.client).filter(state=State.DOWN).count()

    def _item(self, word: str, href: str, icon: str, count: int = 0) -> NavItem:
        path = self._request.path
        inside = path == href if href == "/" else path.startswith(href)
        current = ("page" if path == href else "true") if inside else ""
        return NavItem(
            word=word, href=href, icon=icon, current=current, count=count, count_word="down"
        )

    @cached_property
    def nav(self) -> list[NavItem]:
        if self.client is None:
            return []
        return [
            self._item("Overview", "/", "overview"),
            self._item("Checks", reverse("dashboard:checks"), "checks", self.down),
            self._item("Incidents", reverse("dashboard:incidents"), "incidents"),
            self._item("Alerts", reverse("dashboard:alerts"), "alerts"),
            self._item("Channels", reverse("dashboard:channels"), "channels"),
        ]

    @cached_property
    def operator_nav(self) -> list[NavItem]:
        user = getattr(self._request, "user", None)
        if not getattr(user, "is_staff", False):
            return []
        return [
            self._item("Minute runs", reverse("dashboard:ops-runs"), "runs"),
            self._item("All alerts", reverse("dashboard:ops-alerts"), "alerts"),
            self._item("Sent mail", reverse("dashboard:ops-mail"), "mail"),
        ]

    @property
    def dock(self) -> list[NavItem]:
        return self.nav[:4] or self.operator_nav

    @property
    def more(self) -> list[NavItem]:
        return self.nav[4:]

    @property
    def operator_more(self) -> list[NavItem]:
        """Operators' pages, unless they are the dock itself."""
        return self.operator_nav if self.nav else []

    @property
    def in_more(self) -> bool:
        return any(item.current for item in [*self.more, *self.operator_more])


def shell(request: HttpRequest) -> dict[str, Any]:
    """Context processor: `shell` in every template."""
    return {"shell": Shell(request)}
