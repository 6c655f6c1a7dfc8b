"""The Celery application: `celery -A uptime worker -Q probe`. Queues: `probe` for probes, `jobs` for the rest."""

from __future__ import annotations

import logging
import os
import warnings

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "uptime.settings")

app = Celery("uptime")
app.config_from_object("django.conf:settings", namespace="CELERY")
# Named one by one: finding tasks by app would look for modules called `tasks`, which nobody here has.
app.conf.imports = ("uptime.schedule", "uptime.celery_engine")

# pgmq announces a change of its own to whoever lists queues; kombu mutes that, but not against other threads.
warnings.filterwarnings("ignore", message=r"list_queues\(\) now returns", category=UserWarning)

# Three lines for each task a second would bury what the jobs themselves have to say.
for name in ("celery.app.trace", "celery.worker.strategy", "celery.beat"):
    logging.getLogger(name).setLevel(logging.WARNING)
