"""What the engine says of a minute's invocations: throttled, retried, failed, dead letters."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models
from django.db.models.functions import Now

COUNTERS = ("throttled", "retried", "failed", "dead_letters")


class Migration(migrations.Migration):
    dependencies = [("checks", "0005_heartbeat_results")]

    operations = [
        migrations.AddField(
            model_name="minuterun",
            name=name,
            field=models.PositiveIntegerField(default=0, db_default=0),
        )
        for name in COUNTERS
    ] + [
        migrations.CreateModel(
            name="DeadLetter",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("request_id", models.CharField(max_length=100, unique=True)),
                ("minute", models.DateTimeField()),
                (
                    "region",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="checks.region",
                    ),
                ),
                ("function", models.CharField(max_length=64)),
                ("condition", models.CharField(max_length=100)),
                ("invocations", models.PositiveSmallIntegerField()),
                (
                    "batches",
                    django.contrib.postgres.fields.ArrayField(
                        models.PositiveIntegerField(), blank=True, default=list
                    ),
                ),
                ("received_at", models.DateTimeField(db_default=Now())),
            ],
            options={
                "indexes": [models.Index(fields=["minute"], name="dead_letter_minute")],
            },
        )
    ]
