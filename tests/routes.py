"""Every address of the site, taken from the resolver, so that a new one cannot be forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern

_CONVERTER = re.compile(r"<(?:\w+:)?(\w+)>")
_GROUP = re.compile(r"\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One address, as `checks/{number}/edit/`."""

    template: str
    names: tuple[str, ...]
    view: Any

    @property
    def room(self) -> str:
        """The word that says what its number means: `checks`, `deliveries`."""
        return self.template.removeprefix("api/v1/").split("/")[0]

    def url(self, values: Mapping[str, Any]) -> str:
        return "/" + self.template.format(**values)


def all_routes(urlconf: str | None = None) -> list[Route]:
    return list(_walk(get_resolver(urlconf).url_patterns, ""))


def _walk(patterns: list[URLPattern | URLResolver], prefix: str) -> Iterator[Route]:
    for pattern in patterns:
        part = prefix + _template(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, part)
        else:
            names = tuple(re.findall(r"{(\w+)}", part))
            yield Route(template=part, names=names, view=pattern.callback)


def _template(pattern: Any) -> str:
    if isinstance(pattern, RoutePattern):
        return _CONVERTER.sub(r"{\1}", str(pattern))
    text = _GROUP.sub(r"{\1}", str(pattern))
    text = text.removeprefix("^").removesuffix("$").removesuffix("\\Z").replace("/?", "/")
    return text.replace("\\.", ".").replace("\\", "")
