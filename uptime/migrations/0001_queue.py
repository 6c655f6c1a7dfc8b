"""Installs the functions of the PostgreSQL queue (pgmq), which carries wake-ups between our processes."""

from __future__ import annotations

from django.db import migrations
from pgmq import get_embedded_install_sql


def install(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        # Plain SQL, so no extension and no superuser is needed; a server may bring it already.
        cursor.execute("select to_regnamespace('pgmq') is null")
        if cursor.fetchone()[0]:
            # Through psycopg itself: the script holds percent signs and many statements.
            schema_editor.connection.connection.execute(get_embedded_install_sql())


def remove(apps, schema_editor):
    schema_editor.execute("drop schema if exists pgmq cascade")


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [migrations.RunPython(install, remove, elidable=False)]
