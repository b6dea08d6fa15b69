import django.db.models.functions.datetime
from django.db import migrations, models

import ledger.models


class Migration(migrations.Migration):

    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="ChordRun",
            fields=[
                (
                    "id",
                    ledger.models.KeyField(
                        max_length=255, primary_key=True, serialize=False
                    ),
                ),
                ("done", models.PositiveIntegerField(db_default=0)),
                (
                    "size",
                    models.PositiveIntegerField(
                        help_text="unknown while it is sent", null=True
                    ),
                ),
                (
                    "added",
                    models.PositiveIntegerField(
                        db_default=0, help_text="by Task.add_to_chord"
                    ),
                ),
                (
                    "header",
                    models.TextField(
                        help_text="JSON; for members that are groups", null=True
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now()
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="GroupRun",
            fields=[
                (
                    "id",
                    ledger.models.KeyField(
                        max_length=255, primary_key=True, serialize=False
                    ),
                ),
                ("result", models.TextField(help_text="JSON")),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now()
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="RateLimit",
            fields=[
                (
                    "name",
                    models.CharField(
                        help_text="of the task",
                        max_length=255,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "next_start",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now()
                    ),
                ),
                (
                    "next_ring",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now()
                    ),
                ),
                (
                    "seconds",
                    models.FloatField(
                        help_text="between two starts, if not as the task says",
                        null=True,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="TaskRun",
            fields=[
                (
                    "id",
                    ledger.models.KeyField(
                        max_length=255, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(blank=True, max_length=255)),
                ("queue", models.CharField(blank=True, db_default="", max_length=100)),
                ("args", models.TextField(db_default="[]", help_text="JSON")),
                ("kwargs", models.TextField(db_default="{}", help_text="JSON")),
                (
                    "options",
                    models.TextField(
                        db_default="{}", help_text="JSON, as apply_async takes them"
                    ),
                ),
                (
                    "call_number",
                    models.PositiveIntegerField(
                        db_default=0, help_text="of retries, replacements and replays"
                    ),
                ),
                (
                    "priority",
                    models.PositiveSmallIntegerField(
                        db_default=0, help_text="0 is the most urgent, 9 the least"
                    ),
                ),
                (
                    "lane",
                    models.CharField(
                        blank=True,
                        db_default="",
                        help_text="where it waits while it is pending, see ledger.lanes",
                        max_length=400,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "due later, or waiting for the broker"),
                            ("queued", "a message is on its way to a worker"),
                            ("running", "a worker holds a lease on it"),
                            ("replaced", "other tasks complete it (Task.replace)"),
                            ("succeeded", "ended well"),
                            ("failed", "ended with an exception"),
                            (
                                "dead",
                                "started too often without an end, or startable by no worker",
                            ),
                            ("cancelled", "revoked, expired or ignored"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "custom_state",
                    models.CharField(blank=True, db_default="", max_length=50),
                ),
                ("attempts", models.PositiveIntegerField(db_default=0)),
                ("crashes", models.PositiveSmallIntegerField(db_default=0)),
                (
                    "rings",
                    models.PositiveIntegerField(
                        db_default=0, help_text="lost messages rung again"
                    ),
                ),
                ("token", models.CharField(blank=True, db_default="", max_length=255)),
                ("worker", models.CharField(blank=True, db_default="", max_length=255)),
                ("result", models.TextField(help_text="JSON", null=True)),
                ("progress", models.TextField(help_text="JSON", null=True)),
                ("children", models.TextField(help_text="JSON", null=True)),
                ("traceback", models.TextField(null=True)),
                (
                    "reason",
                    models.TextField(
                        blank=True, db_default="", help_text="why it did not succeed"
                    ),
                ),
                ("unique_key", models.CharField(max_length=255, null=True)),
                ("group_id", models.CharField(max_length=255, null=True)),
                ("group_index", models.PositiveIntegerField(null=True)),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now()
                    ),
                ),
                (
                    "run_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        help_text="not before",
                    ),
                ),
                (
                    "rung_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now()
                    ),
                ),
                (
                    "refused_since",
                    models.DateTimeField(
                        help_text="by workers that do not know the task", null=True
                    ),
                ),
                ("expires_at", models.DateTimeField(null=True)),
                ("lease_until", models.DateTimeField(null=True)),
                ("started_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("lane", ""), ("state", "pending")),
                        fields=["run_at"],
                        name="run_due",
                    ),
                    models.Index(
                        condition=models.Q(("lane__gt", ""), ("state", "pending")),
                        fields=["lane", "priority", "run_at"],
                        name="run_lane",
                    ),
                    models.Index(
                        condition=models.Q(("state", "queued")),
                        fields=["rung_at", "queue"],
                        name="run_rung",
                    ),
                    models.Index(
                        condition=models.Q(("state", "running")),
                        fields=["lease_until"],
                        name="run_leased",
                    ),
                    models.Index(
                        condition=models.Q(
                            ("state__in", ["pending", "queued"]),
                            ("expires_at__isnull", False),
                        ),
                        fields=["expires_at"],
                        name="run_expires",
                    ),
                    models.Index(
                        condition=models.Q(("group_id__isnull", False)),
                        fields=["group_id", "group_index"],
                        name="run_group",
                    ),
                    models.Index(
                        condition=models.Q(
                            ("state__in", ["cancelled", "dead", "failed", "succeeded"])
                        ),
                        fields=["ended_at"],
                        name="run_ended",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(
                            ("state__in", ["pending", "queued", "replaced", "running"]),
                            ("unique_key__isnull", False),
                        ),
                        fields=("unique_key",),
                        name="run_unique_key",
                    )
                ],
            },
        ),
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
