"""Wiring: settings, jobs, engine, embedded mode."""

from __future__ import annotations

from django.apps import AppConfig

from checks.prober import use_prober
from uptime.nudges import connect as connect_nudges
from uptime.ping_log import watch_web_server
from uptime.prober import ThreadProber
from uptime.setup_checks import register_checks


class UptimeConfig(AppConfig):
    name = "uptime"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        register_checks()
        use_prober(ThreadProber())
        connect_nudges()
        watch_web_server()
