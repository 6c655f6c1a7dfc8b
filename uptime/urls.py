"""Every address of the site, one line a room."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("accounts/", include("allauth.urls")),
    path("api/v1/", include("uptime.api_urls")),
    path("", include("clients.urls")),
    path("", include("checks.urls")),
    path("", include("alerts.urls")),
    path("", include("dashboard.urls")),
]
