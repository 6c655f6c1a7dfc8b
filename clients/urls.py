"""Addresses of a user's own choices."""

from __future__ import annotations

from django.urls import path

from clients import views

app_name = "clients"
urlpatterns = [
    path("account/client/", views.switch_client, name="switch"),
    path("account/theme/", views.choose_theme, name="theme"),
]
