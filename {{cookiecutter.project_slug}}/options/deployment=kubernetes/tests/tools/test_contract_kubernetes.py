"""The contract looks at the workers of Kubernetes, too."""

import pytest

from tests.tools.sample_project import Sample
from tools.contract.kubernetes import WORKERS

WORKER = """\
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: worker-%(queue)s
spec:
  template:
    spec:
      terminationGracePeriodSeconds: %(grace)s
      containers:
        - name: service
          command: [python, manage.py, worker, %(queue)s]
          env:
            - {name: WORKER_SHUTDOWN_GRACE, value: %(queue)s=%(grace)s}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: worker-%(queue)s
"""
CRITICAL = WORKER % {"queue": "critical", "grace": 40}
IO = WORKER % {"queue": "io", "grace": 310}
TOLD = "WORKER_SHUTDOWN_GRACE, value: io=310"


def test_workers_that_follow_the_topology_are_fine(sample: Sample) -> None:
    sample.write(WORKERS, CRITICAL + IO)

    assert sample.messages() == []


def test_pod_that_is_killed_before_its_worker_expects_it_is_found(
    sample: Sample,
) -> None:
    sample.write(WORKERS, CRITICAL + IO.replace("Seconds: 310", "Seconds: 30"))

    assert sample.messages() == [
        f"{WORKERS}:21: [queue-worker] worker-io has another grace than its queue"
    ]


def test_worker_that_is_told_of_a_short_grace_is_fine(sample: Sample) -> None:
    sample.write(WORKERS, CRITICAL + IO.replace("310", "60"))

    assert sample.messages() == []


@pytest.mark.parametrize(
    "change", [("Seconds: 310", "Seconds: 60"), ("Seconds: 310", "")]
)
def test_worker_that_is_told_nothing_goes_by_the_topology(
    sample: Sample, change: tuple[str, str]
) -> None:
    sample.write(
        WORKERS, CRITICAL + IO.replace(TOLD, "OTHER, value: x").replace(*change)
    )

    assert sample.rules() == ["queue-worker"]


def test_queue_without_worker_is_found(sample: Sample) -> None:
    sample.write(WORKERS, CRITICAL)

    assert sample.messages() == [
        f"config/queues.py:11: [queue-worker] queue 'io' has no worker in {WORKERS}"
    ]


def test_worker_without_queue_is_found(sample: Sample) -> None:
    mail = WORKER % {"queue": "mail", "grace": 40}
    sample.write(WORKERS, CRITICAL + IO + mail)

    [message] = sample.messages()
    assert "worker-mail serves 'mail', which is not in config/queues.py" in message
