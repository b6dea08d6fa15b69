"""Bakes of the options that exist: what is written, and that it looks handwritten."""

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

from hooks.pre_gen_project import DEPENDENCIES, is_slug
from tests.baking import PROJECT, ROOT, Bake, bake, options

COMBINATIONS = [
    {"include_samples": "yes", "license": "MIT"},
    {"include_samples": "no", "license": "MIT", "monitoring": "yes"},
    {"include_samples": "yes", "license": "Apache-2.0", "deployment": "kubernetes"},
    {"include_samples": "no", "license": "BSD-3-Clause", "time_zone": "Europe/Berlin"},
    {"include_samples": "yes", "license": "MIT", "broker": "rabbitmq"},
    {"include_samples": "no", "license": "Proprietary", "author_name": "Zoë O'Brien"},
]

# What people are called and what they write, at its worst.
NASTY = {
    "project_name": 'Zoë\'s "Désk" \\n 😀 <b> & Co',
    "project_slug": "nasty",
    "description": 'It\'s "quoted" \'\'\' """ \\ back\\\\slash $HOME %s {0} {x} `id` 日本 😀',
    "author_name": 'O\'Brien, "Zoë" \\ {x} # ; <z> $(id)',
    "author_email": "o'brien+ci_1@mail.example.co.uk",
}


def named(combination: dict[str, str]) -> str:
    return " ".join(combination.values())


@pytest.fixture(params=COMBINATIONS, ids=named)
def baked(request: pytest.FixtureRequest, tmp_path: Path) -> Bake:
    return finished(bake(tmp_path, request.param | {"project_slug": "acme"}))


def finished(run: Bake) -> Bake:
    assert run.exit_status == 0, run.output
    return run


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


# --- every combination


def test_bake_looks_handwritten(baked: Bake) -> None:
    for path in files(baked.root):
        text, name = path.read_text(encoding="utf-8"), path.relative_to(baked.root)
        if not text:
            continue
        assert text.endswith("\n") and not text.endswith("\n\n"), name
        assert not text.startswith("\n"), name
        # But "-- " begins a signature in a mail: RFC 3676, section 4.3.
        assert not re.search(r"(?<!\n--)[ \t\r]$", text, re.MULTILINE), name
        # Pages quote Python, too.
        most = "\n" * (4 if path.suffix in (".py", ".py-tpl", ".md") else 3)
        assert most not in text, f"{name}: too many blank lines"


def test_bake_has_no_trace_of_the_template(baked: Bake) -> None:
    assert not (baked.root / "options").exists()
    assert not list(baked.root.rglob("__pycache__"))
    for path in files(baked.root):
        assert "cookiecutter" not in path.read_text(encoding="utf-8"), path


def test_bake_keeps_its_contract(baked: Bake) -> None:
    command = [sys.executable, "-B", "-m", "tools.contract"]

    checked = subprocess.run(command, cwd=baked.root, capture_output=True, text=True)

    assert (checked.returncode, checked.stderr) == (0, "")


def test_bake_ends_with_the_next_three_commands(baked: Bake) -> None:
    cd = f"cd {shlex.quote(str(baked.root))}"

    assert baked.output.splitlines()[-2:] == [f"  {cd}", "  make run"]


# --- the options


@pytest.mark.parametrize(
    ("license", "first_words"),
    [
        ("MIT", "MIT License"),
        ("Apache-2.0", "Apache License"),
        ("BSD-3-Clause", "BSD 3-Clause License"),
        ("Proprietary", "All rights reserved."),
    ],
)
def test_license_is_the_chosen_one(
    tmp_path: Path, license: str, first_words: str
) -> None:
    answers = {"license": license, "author_name": "Ada Lovelace"}

    project = finished(bake(tmp_path, answers)).root

    text = (project / "LICENSE").read_text()
    assert first_words in " ".join(text.split()[:12])
    assert f"{time.gmtime().tm_year}" in text and "Ada Lovelace" in text


def test_every_overlay_belongs_to_a_choice() -> None:
    chosen = {
        f"{option}={choice}"
        for option, choices in options().items()
        if isinstance(choices, list)
        for choice in choices
    }

    assert {folder.name for folder in (PROJECT / "options").iterdir()} <= chosen


def test_samples_are_there_or_not_at_all(tmp_path: Path) -> None:
    with_samples = bake(tmp_path, {"project_slug": "x1", "include_samples": "yes"}).root
    without = bake(tmp_path, {"project_slug": "x2", "include_samples": "no"}).root

    assert (with_samples / "app/tasks/import_tasks.py").exists()
    assert not (without / "app/tasks/import_tasks.py").exists()
    for path in files(without):
        text = path.read_text(encoding="utf-8").lower()
        assert "junit" not in text and "defusedxml" not in text, path


def test_monitoring_is_there_or_not_at_all(tmp_path: Path) -> None:
    chosen = bake(tmp_path, {"project_slug": "x1", "monitoring": "yes"}).root
    without = bake(tmp_path, {"project_slug": "x2", "monitoring": "no"}).root

    assert "prom/prometheus" in (chosen / "docker-compose.yml").read_text()
    assert (chosen / "deploy/monitoring/alerts.yml").exists()
    assert "prometheus" not in (without / "docker-compose.yml").read_text()
    assert not (without / "deploy").exists()


def test_kubernetes_is_there_or_not_at_all(tmp_path: Path) -> None:
    chosen = bake(tmp_path, {"project_slug": "x1", "deployment": "kubernetes"}).root
    without = bake(tmp_path, {"project_slug": "x2", "deployment": "compose"}).root

    added = {"deploy", "tools/kubernetes", "docs/kubernetes.md"}
    assert all((chosen / path).exists() for path in added)
    assert "manifests" in (chosen / "Makefile").read_text()
    assert not any((without / path).exists() for path in added)
    for path in files(without):
        text = path.read_text(encoding="utf-8").lower()
        assert "kubectl" not in text and "make manifests" not in text, path


def test_rabbitmq_is_there_or_not_at_all(tmp_path: Path) -> None:
    chosen = bake(tmp_path, {"project_slug": "x1", "broker": "rabbitmq"}).root
    without = bake(tmp_path, {"project_slug": "x2", "broker": "redis"}).root

    compose = (chosen / "docker-compose.yml").read_text()
    assert "image: rabbitmq:" in compose and "image: redis:" in compose
    assert re.search(r"^BROKER_PASSWORD=.{32,}$", (chosen / ".env").read_text(), re.M)
    production = (chosen / "docker-compose.prod.yml").read_text()
    assert "BROKER_URL_FILE: /run/secrets/broker_url" in production
    for name in ("docker-compose.yml", "docker-compose.prod.yml", "Makefile"):
        assert "rabbitmq" not in (without / name).read_text(), name


def services(project: Path, stage: str) -> dict[str, dict[str, Any]]:
    """Return the services of a bake's compose files, as Docker Compose reads them."""
    if subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        leave_out = pytest.fail if os.environ.get("REQUIRE_SERVERS") else pytest.skip
        leave_out("needs Docker Compose")
    files = ["docker-compose.yml", *([f"docker-compose.{stage}.yml"] if stage else [])]
    command = ["docker", "compose", "--profile", "*"]
    command += [word for file in files for word in ("--file", file)]
    checked = subprocess.run(
        [*command, "config", "--format", "json"],
        cwd=project,
        env={**os.environ, "IMAGE": "registry.example.org/built-elsewhere"},
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stderr
    found: dict[str, dict[str, Any]] = json.loads(checked.stdout)["services"]
    return found


@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_every_service_of_ours_has_the_image_of_its_stage(
    tmp_path: Path, broker: str, stage: str
) -> None:
    answers = {"broker": broker, "monitoring": "yes"}
    project = finished(bake(tmp_path, answers)).root
    plain = services(project, "")
    ours = {
        name
        for name, spec in plain.items()
        if spec["image"] == plain["migrate"]["image"]
    }

    staged = services(project, stage)

    assert {"web", "worker-io", "beat", "metrics"} <= ours
    migrate = staged["migrate"]
    assert migrate["image"] != plain["migrate"]["image"]
    for name in ours:
        for key in ("image", "secrets", "pull_policy"):
            assert staged[name].get(key) == migrate.get(key), f"{name}: {key}"
    assert bool(migrate.get("secrets")) == (stage == "prod")


@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
@pytest.mark.parametrize("stage", ["", "dev", "prod"])
def test_compose_understands_the_files(tmp_path: Path, broker: str, stage: str) -> None:
    answers = {"broker": broker, "monitoring": "yes"}
    project = finished(bake(tmp_path, answers)).root

    found = services(project, stage)

    waits = {
        name for name, spec in found.items() if broker in spec.get("depends_on", {})
    }
    assert {"web", "worker-io", "beat", "flower"} <= waits
    password = re.search(
        r"^BROKER_PASSWORD=(.*)$", (project / ".env").read_text(), re.M
    )
    assert password
    for spec in found.values():
        for port in spec.get("ports", []):
            assert port["host_ip"] == "127.0.0.1"
        assert password[1] not in json.dumps(
            [spec.get("command"), spec.get("healthcheck")]
        )


@pytest.mark.parametrize("stage", ["", "dev", "prod"])
def test_no_service_of_ours_is_told_a_password_that_only_servers_need(
    tmp_path: Path, stage: str
) -> None:
    answers = {"broker": "rabbitmq", "monitoring": "yes"}
    project = finished(bake(tmp_path, answers)).root
    of_servers = re.findall(
        r"^(?:FLOWER|BROKER)_PASSWORD=.+$", (project / ".env").read_text(), re.M
    )
    assert len(of_servers) == 2

    found = services(project, stage)

    image = found["migrate"]["image"]
    ours = {name: spec for name, spec in found.items() if spec["image"] == image}
    assert {"web", "worker-io", "beat", "metrics", "migrate"} <= ours.keys()
    for name, spec in ours.items():
        told = {f"{key}={value}" for key, value in spec["environment"].items()}
        assert not told & {*of_servers}, name


@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
def test_flower_watches_the_broker_that_the_service_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broker: str
) -> None:
    project = finished(bake(tmp_path, {"broker": broker})).root

    def watched() -> str:
        environment = services(project, stage="")["flower"]["environment"]
        return str(environment["CELERY_BROKER_URL"])

    monkeypatch.delenv("BROKER_URL", raising=False)
    monkeypatch.setenv("REDIS_URL", "rediss://cache:6380/0?ssl_cert_reqs=required")
    if broker == "redis":
        assert watched() == "rediss://cache:6380/0?ssl_cert_reqs=required"
    monkeypatch.setenv("BROKER_URL", "amqps://app:word@rabbit:5671//")
    assert watched() == "amqps://app:word@rabbit:5671//"


# --- answers


def test_nasty_answers_arrive_as_they_are(tmp_path: Path) -> None:
    project = finished(bake(tmp_path, NASTY)).root

    metadata = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    assert metadata["description"] == NASTY["description"]
    author = {"name": NASTY["author_name"], "email": NASTY["author_email"]}
    assert metadata["authors"] == [author]
    assert f"DEFAULT_FROM_EMAIL={author['email']}\n" in (project / ".env").read_text()
    readme = (project / "README.md").read_text()
    assert NASTY["project_name"] in readme and NASTY["description"] in readme
    assert author["name"] in (project / "LICENSE").read_text()


@pytest.mark.parametrize("option", ["project_name", "description", "author_name"])
def test_quotes_break_neither_hook(tmp_path: Path, option: str) -> None:
    value = "'''; import os; os.abort() #\"\"\"; 1/0 \\"

    finished(bake(tmp_path, {option: value, "project_slug": "fine"}))


# --- .env


def test_env_is_private_ignored_by_git_and_different_in_every_bake(
    tmp_path: Path,
) -> None:
    projects = [
        finished(bake(tmp_path, {"project_slug": slug})).root for slug in ("x1", "x2")
    ]

    secrets = set()
    for project in projects:
        assert stat.S_IMODE((project / ".env").stat().st_mode) == 0o600
        assert ".env" in (project / ".gitignore").read_text().split()
        for name in ("SECRET_KEY", "API_TOKEN", "DATABASE_PASSWORD", "REDIS_PASSWORD"):
            found = re.search(
                rf"^{name}=(.{{32,}})$", (project / ".env").read_text(), re.M
            )
            assert found, name
            secrets.add(found[1])
    assert len(secrets) == 8


def test_env_of_an_existing_project_survives_another_bake(tmp_path: Path) -> None:
    project = finished(bake(tmp_path)).root
    (project / ".env").write_text("SECRET_KEY=mine\n")

    finished(bake(tmp_path, flags=("--no-input", "--overwrite-if-exists")))

    assert (project / ".env").read_text() == "SECRET_KEY=mine\n"


# --- the template


def test_bake_needs_no_network(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    isolated = [unshare or "unshare", "--user", "--map-root-user", "--net"]
    if (
        not unshare
        or subprocess.run([*isolated, "true"], capture_output=True).returncode
    ):
        pytest.skip("this system cannot take the network away")

    finished(bake(tmp_path, prefix=tuple(isolated)))


def test_bake_works_where_python_ignores_the_current_folder(tmp_path: Path) -> None:
    finished(bake(tmp_path, prefix=("env", "PYTHONSAFEPATH=1")))


def test_python_of_the_template_holds_no_jinja() -> None:
    tag = re.compile("[{][{%#]")

    for path in PROJECT.rglob("*.py"):
        assert not tag.search(path.read_text(encoding="utf-8")), path


def test_lock_files_name_no_package_index() -> None:
    locks = [ROOT / "requirements.txt", *PROJECT.rglob("requirements*.txt")]

    assert len(locks) == 5
    for lock in locks:
        text = lock.read_text()
        assert "--hash=sha256:" in text and "://" not in text, lock


def test_every_name_that_the_project_installs_is_refused_as_a_slug() -> None:
    site = next((ROOT / ".cache" / "venv" / "lib").glob("python*/site-packages"))
    installed = {
        path.name.partition(".")[0]
        for path in site.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }

    assert {name for name in installed if is_slug(name)} - DEPENDENCIES == set()
