"""A second sealing key for each region, so that keys can rotate."""

from django.db import migrations

import clients.encryption


class Migration(migrations.Migration):
    dependencies = [("checks", "0006_invocations")]

    operations = [
        migrations.AddField(
            model_name="region",
            name="other_sealing_key",
            field=clients.encryption.EncryptedTextField(blank=True, db_default="", default=""),
        )
    ]
