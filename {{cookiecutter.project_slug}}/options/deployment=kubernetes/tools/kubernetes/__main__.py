"""`make manifests`: write what follows from config/queues.py into deploy/kubernetes/base/.

The templates are in `deploy/kubernetes/templates/`, one part for each queue. With `--check`
nothing is written, and the exit status is 1 if a file is out of date.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from textwrap import indent

from config.queues import QUEUES, Queue
from tools.kubernetes import queries
from tools.kubernetes.sizes import SIZES, Size

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes"

# A template for each of these files of base/.
FILES = {"workers.yaml": "worker.yaml", "scaling.yaml": "scaling.yaml"}

HEAD = "# Written by `make manifests` from config/queues.py and tools/kubernetes/sizes.py.\n"


class CannotWrite(Exception):
    """Topology and sizes do not fit together; the message says how to mend it."""


def values(queue: Queue, size: Size) -> dict[str, object]:
    """Return what the templates can say of a queue.

    Raises:
        CannotWrite: if a number is missing, or contradicts another one.
    """
    processes = size.processes or queue.concurrency
    if not processes:
        raise CannotWrite(
            f"queue {queue.name!r} has one process per core, and a container sees all cores "
            "of its node: give it `processes` in tools/kubernetes/sizes.py"
        )
    if not (0 <= size.min_workers <= size.max_workers and size.max_workers > 0):
        raise CannotWrite(
            f"queue {queue.name!r}: expected 0 <= min_workers <= max_workers"
        )
    limit = size.runs_per_worker * size.max_workers
    return {
        **vars(size),
        "name": queue.name,
        "purpose": queue.purpose,
        "grace": size.shutdown_grace or queue.shutdown_grace,
        "processes": processes,
        "calls_out": str(size.calls_out).lower(),
        "length": indent(queries.length(queue.name, limit).strip(), " " * 10),
        "age": indent(queries.age(queue.name).strip(), " " * 10),
    }


def manifest(
    template: str, topology: Sequence[Queue] = QUEUES, sizes: Mapping[str, Size] = SIZES
) -> str:
    """Return a file with one part for each queue.

    Args:
        template: of the part.
        topology: the queues.
        sizes: of their workers, by name of the queue.

    Raises:
        CannotWrite: if a queue has no size, a size no queue, or a number does not fit.
    """
    names = {queue.name for queue in topology}
    for name in sorted(names ^ set(sizes)):
        lacks = "config/queues.py" if name in sizes else "tools/kubernetes/sizes.py"
        raise CannotWrite(f"queue {name!r} is not in {lacks}")
    parts = [
        Template(template).substitute(values(queue, sizes[queue.name]))
        for queue in topology
    ]
    return HEAD + "".join(parts)


def main(arguments: list[str], folder: Path = FOLDER) -> int:
    """Write the files, or compare them, and return the exit status.

    Args:
        arguments: of the command line.
        folder: that holds `base` and `templates`.

    Raises:
        CannotWrite: as `manifest` does; nothing is written then.
    """
    parser = argparse.ArgumentParser(prog="python -m tools.kubernetes")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    given = parser.parse_args(arguments)
    written = {
        folder / "base" / name: manifest((folder / "templates" / template).read_text())
        for name, template in FILES.items()
    }
    late = [
        path
        for path, text in written.items()
        if not path.exists() or path.read_text() != text
    ]
    for path in late:
        if given.check:
            name = path.relative_to(folder.parent.parent)
            print(f"{name} is out of date: run `make manifests`", file=sys.stderr)
        else:
            path.write_text(written[path])
    return 1 if late and given.check else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except CannotWrite as error:
        sys.exit(f"make manifests: {error}")
