"""`python -m tools.dev.fake_broker PORT`: fakeredis as a server, until SIGTERM.

The last resort where no Redis can be had. The password is read from stdin; fakeredis
answers to it, but lets clients without one in, too.
"""

import sys

from fakeredis import TcpFakeServer

HOST = "127.0.0.1"


def main(port: int, password: str) -> None:
    """Serve on the loopback interface."""
    server = TcpFakeServer((HOST, port), server_version=(7, 0))
    server.daemon_threads = True
    if password:
        server.fake_server.config[b"requirepass"] = password.encode()
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.stdin.read())
