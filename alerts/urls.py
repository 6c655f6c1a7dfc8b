"""Addresses of the pages that change channels and send messages again."""

from __future__ import annotations

from django.urls import path

from alerts import views

app_name = "alerts"
urlpatterns = [
    path("channels/new/", views.create, name="new"),
    path("channels/<int:number>/edit/", views.edit, name="edit"),
    path("channels/<int:number>/delete/", views.delete, name="delete"),
    path("channels/<int:number>/switch/", views.switch, name="switch"),
    path("channels/<int:number>/rotate/", views.rotate, name="rotate"),
    path("channels/<int:number>/test/", views.test, name="test"),
    path("alerts/<int:number>/resend/", views.resend, name="resend"),
]
