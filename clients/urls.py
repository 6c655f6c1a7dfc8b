"""Addresses of a user's own choices and of a client's API keys."""

from __future__ import annotations

from django.urls import path

from clients import key_views, views

app_name = "clients"
urlpatterns = [
    path("account/client/", views.switch_client, name="switch"),
    path("account/theme/", views.choose_theme, name="theme"),
    path("keys/", key_views.listing, name="keys"),
    path("keys/new/", key_views.create, name="key-new"),
    path("keys/<int:number>/revoke/", key_views.revoke, name="key-revoke"),
]
