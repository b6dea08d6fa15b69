"""`python leash.py COMMAND …`: run a command that does not outlive its parent.

If the parent is killed with `kill -9` it cannot stop its children, so the kernel does it:
https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html. Only Linux has this;
elsewhere the command runs without. It is a program of its own because Python code between
fork and exec is unsafe in a process that has threads. Needs the standard library only.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Replace this process by the command, on the leash of its parent.

    Args:
        parent: process id that the parent must have, else it died before we could ask.
        command: program and arguments.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit(1)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
