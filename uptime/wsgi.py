"""The WSGI application that gunicorn and Zappa serve."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

from uptime.bodies import WholeBodies

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "uptime.settings")

application = WholeBodies(application=get_wsgi_application())

# All views are loaded now and not by the first request: a fault in them stops the start.
get_resolver().url_patterns  # noqa: B018
