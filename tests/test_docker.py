"""The bake in containers, on a real engine: it comes up, is broken, replaced, and loses nothing.

`make test-docker` runs these, in this order, and shows what they do. They need a Docker
engine and its base images.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.baking import bake
from tests.load import CASES, Load
from tests.stack import Stack, running, say, wait_until

pytestmark = pytest.mark.docker

# What may be added to the base image; compressed, it is about a third.
IMAGE_BUDGET_MB = 130
WARM_BUILD_SECONDS = 30

IMPORT_SECONDS = 60

# What else can be chosen that runs in containers; two of everything with one of the rest.
COMBINATIONS = [
    {"include_samples": "no", "broker": "redis", "monitoring": "yes"},
    {"include_samples": "no", "broker": "rabbitmq", "monitoring": "no"},
]
# All of them: `COMBINATIONS=all make test-docker`.
if os.environ.get("COMBINATIONS") == "all":
    COMBINATIONS = [
        {"include_samples": samples, "broker": broker, "monitoring": monitoring}
        for samples in ("yes", "no")
        for broker in ("redis", "rabbitmq")
        for monitoring in ("no", "yes")
    ]

# A worker's lease, and room for a slow machine.
RECOVERY_SECONDS = 300


# The main process is the child of Docker's init, and the pool's are its children.
KILL_POOL_PROCESS = """
import os, signal
stats = [open(f"/proc/{pid}/stat").read().split() for pid in os.listdir("/proc") if pid.isdigit()]
main = min(int(stat[0]) for stat in stats if stat[3] == "1")
os.kill(max(int(stat[0]) for stat in stats if stat[3] == str(main)), signal.SIGKILL)
"""


@contextmanager
def fresh(folder: Path, slug: str, **options: str) -> Iterator[Path]:
    """A bake whose images are removed in the end."""
    baked = bake(folder, {"project_slug": slug, "include_samples": "yes", **options})
    assert baked.exit_status == 0, baked.output
    yield baked.root
    name = slug.replace("_", "-")
    built = ["docker", "image", "ls", "--quiet", "--filter"]
    for of in (f"label=org.opencontainers.image.title={name}", f"reference={name}-dev"):
        ids = subprocess.run([*built, of], capture_output=True, text=True).stdout
        if ids:
            subprocess.run(["docker", "image", "rm", "--force", *set(ids.split())])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with fresh(tmp_path_factory.mktemp("docker"), "docker_test") as root:
        yield root


@pytest.fixture(scope="module")
def stack(root: Path) -> Iterator[Stack]:
    """The bake as `make up` starts it, on a machine that has not built it before."""
    stack = Stack(root)
    say("building without a cache")
    begin = time.monotonic()
    stack.compose("build", "--no-cache", "migrate")
    say(f"cold build: {time.monotonic() - begin:.0f} s")
    begin = time.monotonic()
    with running(stack):
        say(f"make up: healthy after {time.monotonic() - begin:.0f} s")
        yield stack
        say("make down")


def counts(stack: Stack, table: str) -> dict[str, int]:
    rows = stack.query(f"SELECT state, count(*) FROM {table} GROUP BY state")
    return {row.partition("|")[0]: int(row.partition("|")[2]) for row in rows}


def assert_all_imported(stack: Stack, reports: list[int], cases: int) -> None:
    """The database says that each report is complete, once, and that nothing else happened."""
    stack.wait_until_nothing_is_left_to_do(RECOVERY_SECONDS)
    assert counts(stack, "app_report") == {"done": len(reports)}
    rows = stack.query(
        "SELECT report_id, count(*) FROM app_caseresult GROUP BY report_id"
    )
    assert dict(row.split("|") for row in rows) == {
        str(id): str(cases) for id in reports
    }
    states = counts(stack, "ledger_taskrun")
    say(f"runs of the ledger: {states}")
    assert set(states) <= {"succeeded", "replaced"}


def forget_reports(stack: Stack) -> None:
    stack.query("TRUNCATE app_report CASCADE")
    stack.query("TRUNCATE ledger_taskrun CASCADE")


def assert_all_healthy(stack: Stack, services: int) -> None:
    rows = stack.compose("ps", "--format", "{{.Service}} {{.Health}}").splitlines()
    assert {row.split()[1] for row in rows} == {"healthy"}
    assert len(rows) == services


def test_fresh_bake_is_healthy_after_one_command(stack: Stack) -> None:
    # web, six workers, two beats, PostgreSQL, Redis
    assert_all_healthy(stack, 11)


def test_image_is_small_and_has_no_build_tools(stack: Stack) -> None:
    def megabytes(image: str) -> int:
        form = "{{.Size}}"
        size = stack.run("docker", "image", "inspect", "--format", form, image)
        return int(size) // 1_000_000

    base, whole = megabytes("python:3.13-slim"), megabytes("docker-test")

    say(f"image: {whole} MB, of which the base has {base} MB")
    assert whole - base <= IMAGE_BUDGET_MB
    for tool in ("uv", "gcc", "cc", "make", "git"):
        with pytest.raises(AssertionError):
            stack.compose("exec", "-T", "web", "which", tool)


def test_change_of_code_is_built_in_seconds(stack: Stack) -> None:
    (stack.root / "app" / "changed.py").write_text('"""A change."""\n')
    begin = time.monotonic()

    stack.compose("build", "migrate")

    took = time.monotonic() - begin
    say(f"warm build: {took:.1f} s")
    assert took < WARM_BUILD_SECONDS


def test_container_can_write_nothing_but_its_data_and_is_not_root(
    stack: Stack,
) -> None:
    shell = ("exec", "-T", "worker-io", "sh", "-c")

    assert stack.compose(
        *shell, "id -u; touch /media/x /tmp/x && rm /media/x"
    ).strip() == ("10001")
    for path in ("/srv/x", "/venv/x", "/x"):
        with pytest.raises(AssertionError, match="Read-only file system"):
            stack.compose(*shell, f"touch {path}")


def test_secrets_are_in_no_process_list_and_in_no_image(stack: Stack) -> None:
    env = (stack.root / ".env").read_text()
    names = ("SECRET_KEY", "API_TOKEN", "DATABASE_PASSWORD", "REDIS_PASSWORD")
    lines = [line for line in env.splitlines() if line.split("=")[0] in names]
    secrets = [line.partition("=")[2] for line in lines]
    shown = stack.run("docker", "history", "--no-trunc", "docker-test")
    for service in ("web", "worker-io", "redis", "postgres"):
        [container] = stack.containers(service)
        shown += stack.run("docker", "top", container)

    assert len(secrets) == len(names)
    assert not [secret for secret in secrets if secret in shown]


def test_report_sent_over_http_is_imported(stack: Stack) -> None:
    status, sent = stack.send_report(stack.port, cases=1200)

    assert status == 202
    wait_until(
        lambda: stack.request(stack.port, "GET", f"/api/reports/{sent['id']}")[1][
            "state"
        ]
        == "done",
        IMPORT_SECONDS,
        "not imported",
    )
    assert_all_imported(stack, [sent["id"]], 1200)


def test_stopped_worker_becomes_unhealthy(stack: Stack) -> None:
    [container] = stack.containers("worker-slow")

    def health() -> str:
        return str(stack.inspect(container)["State"]["Health"]["Status"])

    stack.run("docker", "exec", container, "sh", "-c", "kill -STOP -1")
    wait_until(lambda: health() == "unhealthy", 90, "still healthy")

    stack.run("docker", "exec", container, "sh", "-c", "kill -CONT -1")
    wait_until(lambda: health() == "healthy", 60, "still unhealthy")


def test_nothing_is_lost_by_whatever_is_killed(stack: Stack) -> None:
    forget_reports(stack)

    kill_whatever_works(stack, broker="redis")


def kill_whatever_works(stack: Stack, broker: str) -> None:
    """Kill containers and processes while reports come in; all of them are imported, once."""
    reports: list[int] = []

    def send(count: int = 5) -> None:
        for _ in range(count):
            status, sent = stack.send_report(stack.port, cases=600)
            assert status == 202
            reports.append(sent["id"])

    for service in ("worker-cpu", "worker-fast", "worker-io"):
        send()
        say(f"docker kill {service}")
        [container] = stack.containers(service)
        stack.run("docker", "kill", container)
        # A container that somebody killed stays down: so Docker has it.
        stack.run("docker", "start", container)
    wait_until(lambda: stack.probe("worker-cpu", "ready"), 60, "not ready")
    send()
    say("kill -9 of a pool process")
    stack.compose("exec", "-T", "worker-cpu", "python", "-c", KILL_POOL_PROCESS)
    send()
    say(f"docker kill {broker}, and importing while it is down")
    [container] = stack.containers(broker)
    stack.run("docker", "kill", container)
    send()
    begin = time.monotonic()
    wait_until(lambda: not stack.probe("worker-fast", "ready"), 90, "still ready")
    say(f"worker says that it is not ready after {time.monotonic() - begin:.0f} s")
    assert stack.probe("worker-fast", "live")
    stack.run("docker", "start", container)
    send()
    say("docker kill postgres")
    [postgres] = stack.containers("postgres")
    stack.run("docker", "kill", postgres)
    stack.run("docker", "start", postgres)
    wait_until(lambda: stack.is_ready(), 60, "web is not ready")
    wait_until(lambda: stack.probe("worker-fast", "ready"), 60, "worker is not ready")

    assert_all_imported(stack, reports, 600)
    for service in ("web", "worker-cpu", "worker-fast", "worker-io", "beat"):
        for container in stack.containers(service):
            assert stack.inspect(container)["RestartCount"] == 0, service


def test_queue_gets_more_workers(stack: Stack) -> None:
    stack.make("scale", "group=io", "n=2")

    assert len(stack.containers("worker-io")) == 2


def test_backup_brings_back_what_was_deleted(stack: Stack) -> None:
    manage = ("exec", "-T", "web", "python", "manage.py")
    stack.send_report(stack.port, cases=10)
    stack.wait_until_nothing_is_left_to_do(RECOVERY_SECONDS)
    before = counts(stack, "app_report")
    # It is older than the last migration, as after a bad deploy.
    stack.compose(*manage, "migrate", "sessions", "zero")
    stack.make("backup", "FILE=var/test.dump")
    stack.compose(*manage, "migrate")
    stack.query("CREATE TABLE later (report_id bigint REFERENCES app_report)")
    stack.query("CREATE TABLE later_and_alone (id bigint)")
    forget_reports(stack)

    stack.make("restore", "FILE=var/test.dump")

    assert counts(stack, "app_report") == before
    assert stack.query("SELECT relname FROM pg_class WHERE relname ~ '^later'") == []
    assert stack.query("SELECT count(*) FROM django_session") == ["0"]
    stack.compose(*manage, "migrate", "--check")
    assert stack.query(
        "SELECT nspowner::regrole, nspacl FROM pg_namespace WHERE nspname = 'public'"
    ) == [
        "pg_database_owner|{pg_database_owner=UC/pg_database_owner,=U/pg_database_owner}"
    ]
    wait_until(lambda: stack.probe("worker-fast", "ready"), 60, "not ready")


def test_broken_backup_changes_nothing(stack: Stack) -> None:
    before = counts(stack, "app_report")
    assert before
    stack.make("backup", "FILE=var/test.dump")
    whole = (stack.root / "var/test.dump").read_bytes()
    (stack.root / "var/broken.dump").write_bytes(whole[: len(whole) * 9 // 10])

    with pytest.raises(AssertionError, match="make restore"):
        stack.make("restore", "FILE=var/broken.dump")

    assert counts(stack, "app_report") == before
    wait_until(lambda: stack.is_ready(), 60, "web is not ready")


def test_development_starts_again_on_a_change_and_loses_nothing(
    root: Path, stack: Stack
) -> None:
    stack.compose("down", "--volumes", "--timeout", "10")
    development = Stack(root, stage="dev")

    def starts(service: str) -> int:
        log = development.compose("logs", "--no-color", service)
        return log.count(" ready." if service != "web" else "Booting worker")

    with running(development):
        before = {service: starts(service) for service in ("web", "worker-fast")}
        reports = [
            development.send_report(development.port, cases=600)[1]["id"]
            for _ in range(5)
        ]
        say("changing a file")
        changed = root / "app" / "models" / "imports.py"
        changed.write_text(changed.read_text() + "# changed\n")
        for service, count in before.items():
            wait_until(lambda: starts(service) > count, 60, f"{service} is as it was")

        assert_all_imported(development, reports, 600)
        foreign = [
            path for path in root.rglob("*") if path.stat().st_uid != os.getuid()
        ]
        assert not foreign


def test_every_service_is_replaced_under_load_and_no_request_fails(
    root: Path, stack: Stack
) -> None:
    stack.compose("down", "--volumes", "--timeout", "10")

    replace_everything_under_load(root, image="docker-test", broker="redis")


def replace_everything_under_load(
    root: Path, image: str, broker: str, *, added: tuple[str, ...] = ()
) -> None:
    """Upgrade a stack, and restart its broker, while reports come in without a pause.

    Args:
        root: of the bake.
        image: that it is built as.
        broker: its service.
        added: services of profiles that run, too.
    """
    production = Stack(root, stage="prod")
    for version in ("1", "2"):
        (root / "app" / "changed.py").write_text(f'"""Version {version}."""\n')
        production.run("docker", "build", "--tag", f"{image}:{version}", ".")
    production.use_image(f"{image}:1")
    with running(production):
        if added:
            production.compose("--profile=*", "up", "--detach", "--wait", *added)
        services = production.compose("config", "--services").split()
        before = {
            service: set(production.containers(service))
            for service in (*services, *added)
        }
        load = Load(production)
        with load.running():
            time.sleep(5)
            production.use_image(f"{image}:2")
            say("make upgrade")
            begin = time.monotonic()
            with watching(image) as came_and_went:
                production.make("upgrade")
            say(f"replaced everything in {time.monotonic() - begin:.0f} s")
            say(f"restarting {broker}")
            production.compose("restart", broker)
            time.sleep(5)

        say(
            f"{len(load.accepted)} reports accepted, {len(load.failed)} requests failed"
        )
        assert not load.failed
        assert_all_imported(production, load.accepted, CASES)
        for service in before:
            at_work = len(before[service])
            for change in came_and_went(service):
                at_work += change
                assert at_work >= len(before[service]), f"{service} was away"
            if service not in ("postgres", "redis", "rabbitmq", "migrate"):
                after = set(production.containers(service))
                assert len(after) == len(before[service]), service
                assert not after & before[service], f"{service} was not replaced"
                images = {production.inspect(each)["Config"]["Image"] for each in after}
                assert images == {f"{image}:2"}


@contextmanager
def watching(project: str) -> Iterator[Callable[[str], list[int]]]:
    """Note which containers of a project start (1) and end (-1), by service.

    Compose names the project as the image.
    """
    of = f"label=com.docker.compose.project={project}"
    form = '{{index .Actor.Attributes "com.docker.compose.service"}} {{.Action}}'
    command = ["docker", "events", "--filter", of, "--format", form]
    for event in ("start", "die"):
        command += ["--filter", f"event={event}"]
    lines: list[str] = []

    def changes(service: str) -> list[int]:
        ours = [line.split()[1] for line in lines if line.split()[0] == service]
        return [1 if action == "start" else -1 for action in ours]

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as events:
        try:
            yield changes
        finally:
            events.terminate()
            lines += events.communicate()[0].splitlines()


def test_production_runs_what_was_built_elsewhere_or_nothing(
    root: Path, stack: Stack
) -> None:
    production = Stack(root, stage="prod")
    production.use_image("docker-test:mistyped")

    with pytest.raises(AssertionError, match="Error"):
        production.make("up")

    with pytest.raises(AssertionError):
        production.run("docker", "image", "inspect", "docker-test:mistyped")
    production.use_image("docker-test:2")


def test_nothing_is_left_after_down(stack: Stack) -> None:
    assert stack.compose("ps", "--all", "--quiet") == ""


def test_nothing_is_lost_on_rabbitmq_either(tmp_path: Path) -> None:
    options = {"broker": "rabbitmq", "monitoring": "yes"}
    with fresh(tmp_path, "docker_rabbit", **options) as root:
        with running(Stack(root)) as stack:
            # and RabbitMQ
            assert_all_healthy(stack, 12)

            kill_whatever_works(stack, broker="rabbitmq")
        replace_everything_under_load(
            root, image="docker-rabbit", broker="rabbitmq", added=("metrics",)
        )


@pytest.mark.parametrize(
    "options", COMBINATIONS, ids=lambda each: "-".join(each.values())
)
def test_every_combination_is_healthy_after_one_command(
    tmp_path: Path, options: dict[str, str]
) -> None:
    with fresh(tmp_path, "docker_other", **options) as root:
        with running(Stack(root)) as stack:
            assert_all_healthy(stack, 12 if options["broker"] == "rabbitmq" else 11)
            if options["monitoring"] == "yes":
                # The other two of the profile have images of their own.
                profile = ("--profile", "monitoring")
                stack.compose(*profile, "up", "--detach", "--wait", "metrics")
