"""What the shell of every page shows: the client in force, the switcher, the way to the operator console."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest


def shell(request: HttpRequest) -> dict[str, Any]:
    return {"membership": getattr(request, "membership", None)}
