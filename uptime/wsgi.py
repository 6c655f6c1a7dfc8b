"""The WSGI application that gunicorn and Zappa serve."""

from __future__ import annotations

import os

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

from uptime.bodies import WholeBodies, WSGIApplication
from uptime.lambda_requests import LambdaRequests

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "uptime.settings")

application: WSGIApplication = WholeBodies(application=get_wsgi_application())

# Every command stops at a wrong setting, and so does this: nobody may sign in under a made-up key.
wrong = [each for each in checks.run_checks(tags=["environment"]) if each.is_serious()]
if wrong:
    raise ImproperlyConfigured("\n".join(f"{each.msg}. {each.hint}" for each in wrong))

if settings.LAMBDA_FUNCTION:
    application = LambdaRequests(application=application)

# All views are loaded now and not by the first request: a fault in them stops the start.
get_resolver().url_patterns  # noqa: B018
