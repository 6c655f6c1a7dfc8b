"""Makes database and static files fit the code, and the demo data of a first start."""

from __future__ import annotations

import io

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command, get_commands
from django.db import DatabaseError, connection
from django.db.migrations.exceptions import InconsistentMigrationHistory
from django.db.migrations.executor import MigrationExecutor
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from uptime.embedded.prepared import note_prepared

DEMO_MARK = "demo-made"
UNUSED_STATIC = ["rest_framework", "redoc"]  # pages that this product does not have


def prepare(*, demo: bool, console: Console) -> None:
    """Migrate, collect static files, make demo data on the first start."""
    environment = settings.ENVIRONMENT
    _migrate(console)
    quiet = io.StringIO()
    call_command("ensure_region", *environment.regions, stdout=quiet)
    call_command("ensure_partitions", stdout=quiet)
    if not settings.DEBUG:  # in debug mode they are served from where they lie
        with console.status("Compressing static files (first start or changed files)"):
            call_command(
                "collectstatic",
                interactive=False,
                verbosity=0,
                clear=True,
                ignore_patterns=UNUSED_STATIC,
            )
    mark = settings.STATE_DIR / DEMO_MARK
    if demo and not mark.exists() and "demo" in get_commands() and _is_empty():
        console.print("Making demo data")
        call_command("demo")
        mark.touch()
    note_prepared(settings.STATE_DIR, environment.database_url)


class _Steps(io.StringIO):
    """Takes the lines of `migrate` and moves the bar on by one for each migration done."""

    def __init__(self, progress: Progress, total: int) -> None:
        super().__init__()
        self._progress = progress
        self._task = progress.add_task("Preparing the database", total=total)

    def write(self, text: str) -> int:
        if text.rstrip().endswith(" OK"):
            self._progress.advance(self._task)
        return len(text)


def _migrate(console: Console) -> None:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if not plan:
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    ) as progress:
        steps = _Steps(progress, len(plan))
        call_command("migrate", interactive=False, verbosity=1, stdout=steps, no_color=True)


def _is_empty() -> bool:
    """Demo clients must never be poured into a database that somebody already uses."""
    with connection.cursor() as cursor:
        cursor.execute("select not exists (select from clients_user)")
        return bool(cursor.fetchone()[0])


def run(*, demo: bool) -> int:
    """Prepare, or say in one sentence why not; the exit code."""
    console = Console()
    try:
        prepare(demo=demo, console=console)
    except DatabaseError as error:
        lines = str(error).strip() or type(error).__name__
        console.print(f"DATABASE_URL: the database refuses: {lines}", markup=False, style="red")
    except (CommandError, ImproperlyConfigured, InconsistentMigrationHistory) as error:
        console.print(str(error), markup=False, style="red")
    else:
        return 0
    return 1
