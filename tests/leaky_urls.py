"""The site with two routes that forget whose rows they show; the isolation test must catch both."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import path

from checks.models import Check
from uptime.urls import urlpatterns as site


def by_number(request: HttpRequest, number: int) -> HttpResponse:
    check = Check.objects.across_clients().filter(pk=number).first()
    return HttpResponse(check.name if check else "", status=200 if check else 404)


def listed(request: HttpRequest) -> HttpResponse:
    return HttpResponse(" ".join(check.name for check in Check.objects.across_clients()))


urlpatterns = [path("checks/<int:number>/leak/", by_number), path("leak/", listed), *site]
