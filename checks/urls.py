"""Addresses of the pages that change checks."""

from __future__ import annotations

from django.urls import path

from checks import views

app_name = "checks"
urlpatterns = [
    path("checks/new/", views.create, name="new"),
    path("checks/<int:number>/edit/", views.edit, name="edit"),
    path("checks/<int:number>/pause/", views.pause, name="pause"),
    path("checks/<int:number>/resume/", views.resume, name="resume"),
    path("checks/<int:number>/delete/", views.delete, name="delete"),
    path("checks/<int:number>/test/", views.test, name="test"),
]
