import django.db.models.functions.datetime
from django.db import migrations, models

import ledger.models


class Migration(migrations.Migration):

    dependencies = [
        ("ledger", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="LiveWorker",
            fields=[
                (
                    "name",
                    ledger.models.KeyField(
                        max_length=255, primary_key=True, serialize=False
                    ),
                ),
                (
                    "queues",
                    models.CharField(help_text="with commas between", max_length=255),
                ),
                ("processes", models.PositiveIntegerField(help_text="of its pool")),
                (
                    "busy",
                    models.PositiveIntegerField(
                        help_text="processes that execute a run"
                    ),
                ),
                (
                    "memory_bytes",
                    models.PositiveBigIntegerField(
                        help_text="of all of them", null=True
                    ),
                ),
                (
                    "started_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now()
                    ),
                ),
                (
                    "seen_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now()
                    ),
                ),
            ],
        ),
    ]
