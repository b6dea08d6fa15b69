"""A web server that is told to stop says so first, and stops when nobody sends it requests.

A server that closes its socket at once refuses the requests that its load balancer is just
sending. So for some seconds after SIGTERM everything works as before, but `/readyz` says
no: time enough for the load balancer to look, and to send requests elsewhere.
https://kubernetes.io/docs/tutorials/services/pods-and-endpoint-termination-flow/
"""

import mmap
import signal
import threading
from types import FrameType

# One byte of memory that the server shares with the processes that it forks.
_flag = mmap.mmap(-1, 1)


def begun() -> bool:
    """Return whether this server is about to stop."""
    return _flag[0] == 1


def before_stopping(seconds: float) -> None:
    """Put the signal that stops the server off.

    Args:
        seconds: for which it goes on; a second signal stops it at once.
    """
    stop = signal.getsignal(signal.SIGTERM)
    assert callable(stop)

    def drain(number: int, frame: FrameType | None) -> None:
        signal.signal(number, stop)
        _flag[0] = 1
        timer = threading.Timer(seconds, stop, (number, None))
        timer.daemon = True
        timer.start()

    signal.signal(signal.SIGTERM, drain)
