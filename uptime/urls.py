"""Every address of the site, one line a room."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from checks.ingest_api import results as ingest_results

urlpatterns: list[URLPattern | URLResolver] = [
    path("accounts/", include("allauth.urls")),
    path("ingest/v1/results", ingest_results, name="ingest"),
    path("api/v1/", include("uptime.api_urls")),
    path("", include("checks.heartbeats.urls")),
    path("", include("clients.urls")),
    path("", include("checks.urls")),
    path("", include("alerts.urls")),
    path("", include("dashboard.urls")),
]
