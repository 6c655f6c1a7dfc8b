"""The product's own settings over a private PostgreSQL and a state directory that end with the run."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

from tests.postgres import start_for_tests

# The environment is read when settings load, so it is complete before Django starts.
_state = tempfile.mkdtemp(prefix="uptime-state-")
_owner = os.getpid()


@atexit.register
def _remove_state() -> None:
    if os.getpid() == _owner:  # not in a forked child
        shutil.rmtree(_state, ignore_errors=True)


os.environ.update(
    {
        "DATABASE_URL": start_for_tests(),
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
