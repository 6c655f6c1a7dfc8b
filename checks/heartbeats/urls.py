"""Addresses of heartbeats: where jobs call, and the page action that gives another key."""

from __future__ import annotations

from django.urls import path

from checks.heartbeats import key_page, views

app_name = "heartbeats"
urlpatterns = [
    path("ping/<path:rest>", views.ping, name="ping"),
    path("checks/<int:number>/ping-key/", key_page.rotate, name="rotate"),
]
