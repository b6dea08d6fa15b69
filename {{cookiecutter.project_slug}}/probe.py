"""Is the process alive, has it started, is it at work? Asked of the file that it writes.

    python -I -S probe.py live      # restart it if it says no
    python -I -S probe.py ready     # give it time if it says no
    python -I -S probe.py started   # do not ask the others before it says yes
    python -I -S probe.py web 8000 /readyz

Run as a file, it imports neither Django nor Celery nor anything else that takes time: it
needs milliseconds, where `celery inspect ping` needs seconds of a core, and a broker. The
file is named by HEALTH_FILE, and is written by `ledger/health.py`.
"""

import os
import sys
import time

# A file that was not written for so many seconds belongs to a process that is gone, or that
# was stopped. It is written every WRITE_SECONDS of `ledger/health.py`.
SILENT_SECONDS = 15.0

WEB_SECONDS = 4.0


def answer(question: str, text: str, now: float) -> tuple[bool, str]:
    """Answer from the content of the file.

    Args:
        question: live, ready or started.
        text: the content: when it was written, by whom, what the main loop is stuck in,
            and what keeps it from its work, one per line.
        now: the clock's time, in seconds.

    Returns:
        Whether it is so, and a line for people.
    """
    written, name, stuck, problem = text.split("\n")[:4]
    silent = now - float(written)
    # The clock begins anew when the machine does.
    if not 0 <= silent <= SILENT_SECONDS:
        return False, f"{name}: silent for {silent:.0f} s"
    if question != "started" and stuck:
        return False, f"{name}: {stuck}"
    if question == "ready" and problem:
        return False, f"{name}: {problem}"
    return True, f"{name}: {problem or 'at work'}"


def ask_file(question: str) -> tuple[bool, str]:
    """Answer from the file in HEALTH_FILE."""
    path = os.getenv("HEALTH_FILE")
    if not path:
        return False, "HEALTH_FILE is not set"
    try:
        with open(path, encoding="utf-8") as file:
            return answer(question, file.read(), time.monotonic())
    except FileNotFoundError:
        return False, "not started; a web server is asked by: web PORT /readyz"


def ask_web(port: int, path: str) -> tuple[bool, str]:
    """Answer from the status of the web process' answer, and repeat its first line."""
    import socket  # the file needs none

    try:
        with socket.create_connection(("127.0.0.1", port), WEB_SECONDS) as connection:
            connection.sendall(
                f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode()
            )
            lines = connection.makefile("r", encoding="utf-8", errors="replace")
            status = lines.readline().strip()
            while lines.readline().strip():
                pass  # a header
            body = lines.readline().strip()
    except OSError as error:
        return False, f"web: {error}"
    return status.split(" ")[1:2] == ["200"], f"web: {status} {body}".rstrip()


def main(arguments: list[str]) -> int:
    """Answer one question; returns the exit status: 0 for yes, 1 for no."""
    status = 2
    line = "expected: live, ready, started, or web PORT PATH"
    if arguments[:1] == ["web"] and len(arguments) == 3:
        ok, line = ask_web(int(arguments[1]), arguments[2])
        status = 0 if ok else 1
    elif arguments in (["live"], ["ready"], ["started"]):
        ok, line = ask_file(arguments[0])
        status = 0 if ok else 1
    print(line)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
