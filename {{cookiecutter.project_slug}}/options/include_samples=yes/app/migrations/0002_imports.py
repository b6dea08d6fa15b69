import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("app", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Report",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                (
                    "digest",
                    models.CharField(editable=False, max_length=64, unique=True),
                ),
                ("name", models.CharField(max_length=255)),
                ("upload", models.FileField(upload_to="reports/")),
                ("size", models.PositiveBigIntegerField(help_text="bytes")),
                ("chunk_size", models.PositiveIntegerField(help_text="cases")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("running", "Running"),
                            ("done", "Done"),
                            ("failed", "Failed"),
                        ],
                        default="pending",
                        max_length=10,
                    ),
                ),
                ("error", models.TextField(blank=True)),
                ("bytes_read", models.PositiveBigIntegerField(default=0)),
                (
                    "total_chunks",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="known once the whole file has been read",
                        null=True,
                    ),
                ),
                ("summary", models.JSONField(blank=True, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["state", "updated_at"], name="report_progress")
                ],
            },
        ),
        migrations.CreateModel(
            name="RejectedCase",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                (
                    "position",
                    models.PositiveIntegerField(
                        help_text="in the file; 1 is the first"
                    ),
                ),
                ("name", models.TextField(blank=True)),
                ("reason", models.TextField()),
                (
                    "report",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="rejected",
                        to="app.report",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("report", "position"), name="rejected_once_per_case"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="CaseResult",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                (
                    "position",
                    models.PositiveIntegerField(
                        help_text="in the file; 1 is the first"
                    ),
                ),
                ("suite", models.TextField(blank=True)),
                ("classname", models.TextField(blank=True)),
                ("name", models.TextField()),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("passed", "Passed"),
                            ("failed", "Failed"),
                            ("errored", "Errored"),
                            ("skipped", "Skipped"),
                        ],
                        max_length=7,
                    ),
                ),
                (
                    "seconds",
                    models.FloatField(
                        blank=True, help_text="empty: not reported", null=True
                    ),
                ),
                (
                    "flaky",
                    models.BooleanField(
                        default=False, help_text="passed after a failed run"
                    ),
                ),
                ("message", models.TextField(blank=True)),
                ("details", models.TextField(blank=True)),
                (
                    "report",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="results",
                        to="app.report",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["report", "outcome"], name="result_outcome")
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("report", "position"), name="result_once_per_case"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ReportChunk",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("number", models.PositiveIntegerField(help_text="1 is the first")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("extracted", "Extracted"),
                            ("validated", "Validated"),
                            ("transformed", "Transformed"),
                            ("loaded", "Loaded"),
                        ],
                        default="extracted",
                        max_length=11,
                    ),
                ),
                ("cases", models.JSONField(default=list)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "report",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="chunks",
                        to="app.report",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("report", "number"), name="chunk_once_per_report"
                    )
                ],
            },
        ),
    ]
