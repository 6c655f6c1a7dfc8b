"""Addresses of the pages that read."""

from __future__ import annotations

from django.urls import path

from dashboard.views import alerts, checks, incidents, operators

app_name = "dashboard"
urlpatterns = [
    path("", checks.home, name="overview"),
    path("checks/", checks.check_list, name="checks"),
    path("checks/<int:number>/", checks.check_detail, name="check"),
    path(
        "checks/<int:number>/results/<int:second>-<int:region>/",
        checks.result_detail,
        name="result",
    ),
    path("incidents/", incidents.incident_list, name="incidents"),
    path("incidents/<int:number>/", incidents.incident_detail, name="incident"),
    path("channels/", alerts.channel_list, name="channels"),
    path("alerts/", alerts.delivery_list, name="alerts"),
    path("alerts/<int:number>/", alerts.delivery_detail, name="alert"),
    path("ops/runs/", operators.run_list, name="ops-runs"),
    path("ops/runs/<str:key>/", operators.run_detail, name="ops-run"),
    path("ops/alerts/", operators.alert_list, name="ops-alerts"),
    path("ops/mail/", operators.mail_list, name="ops-mail"),
    path("ops/mail/<str:name>/", operators.mail_detail, name="ops-letter"),
]
