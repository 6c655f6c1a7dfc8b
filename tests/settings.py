"""The product's own settings over a private PostgreSQL and a state directory that end with the run."""

from __future__ import annotations

import os
import tempfile

from tests.postgres import join_run

# The environment is read when settings load, so it is complete before Django starts.
_run = join_run()
_state = tempfile.mkdtemp(prefix="state-", dir=_run.folder)

os.environ.update(
    {
        "DATABASE_URL": _run.database_url,
        "UPTIME_STATE_DIR": _state,
        "OBJECT_STORE_URL": f"file://{_state}/objects",
        "CELERY_BROKER_URL": "memory://",
        "UPTIME_ALLOW_NETWORKS": "127.0.0.1/32,::1/128",
        "DEBUG": "0",
        "SECRET_KEY": "a-key-for-tests-only-0123456789abcdef0123456789",
        "UPTIME_ENCRYPTION_KEYS": "dGVzdC1rZXktMDEyMzQ1Njc4OS10ZXN0LWtleS0wMTI=",
        "UPTIME_SITE_URL": "http://uptime.test",
        "DJANGO_ALLOW_ASYNC_UNSAFE": "1",
    }
)


from uptime.settings import *  # noqa: E402, F403
from uptime.settings import STORAGES  # noqa: E402

WHITENOISE_AUTOREFRESH = True  # no collected files to index
# Pages render without collected and hashed files.
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
