"""A TCP proxy that breaks on purpose, to stand between a program and any server.

    with Proxy("127.0.0.1", 6379) as proxy:
        client = redis.Redis(port=proxy.port)
        proxy.black_hole()  # as a firewall that drops packets: nobody is told anything
        proxy.heal()
        proxy.reset()       # as a load balancer that forgets: "connection reset by peer"
        proxy.delay(0.2)    # as a far data center, seconds each way

It needs the standard library only, and can be copied as it is.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from typing import Self, TypeVar

T = TypeVar("T")

HOST = "127.0.0.1"
CHUNK_BYTES = 65_536

# Close at once and throw away what is on its way: the peer gets RST instead of FIN.
# https://man7.org/linux/man-pages/man7/socket.7.html
LINGER_NOT_AT_ALL = struct.pack("ii", 1, 0)


class Proxy:
    """Passes bytes between its clients and one server, until it is told otherwise.

    One thread with an event loop of its own does the work; all methods can be called from
    any other thread, and take effect before they return.
    """

    def __init__(self, host: str, port: int) -> None:
        """Listen on a free port; the server, whose address this is, need not run yet."""
        self._server_address = (host, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._lossy: set[asyncio.StreamWriter] = set()
        self._delay = 0.0
        self._whole = asyncio.Event()
        self._whole.set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._listener = socket.create_server((HOST, 0))
        self.port = int(self._listener.getsockname()[1])

    @property
    def address(self) -> str:
        """Where clients connect: `host:port`."""
        return f"{HOST}:{self.port}"

    def black_hole(self) -> None:
        """Accept connections and swallow every byte, in both directions."""
        self._call(self._whole.clear)

    def heal(self, *, reset: bool = True) -> None:
        """Pass bytes again.

        Args:
            reset: connections of which some were swallowed; else those stay silent for
                ever, as if a firewall had forgotten them.
        """
        self._call(self._whole.set)
        if reset:
            self._call(lambda: self._abort(self._lossy))

    def delay(self, seconds: float) -> None:
        """Hold back what is sent from now on, in each direction."""
        self._call(lambda: setattr(self, "_delay", seconds))

    def reset(self) -> int:
        """Break all connections with RST; return how many sockets that were."""
        return self._call(lambda: self._abort(self._writers))

    def __enter__(self) -> Self:
        self._thread.start()
        start = asyncio.start_server(self._serve, sock=self._listener)
        self._acceptor = asyncio.run_coroutine_threadsafe(start, self._loop).result()
        return self

    def __exit__(self, *error: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(
        self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter
    ) -> None:
        self._writers.add(to_client)
        try:
            server, to_server = await asyncio.open_connection(*self._server_address)
        except OSError:
            self._abort({to_client})  # the server is down
            return
        self._writers.add(to_server)
        link = {to_client, to_server}
        await asyncio.gather(
            self._pass(client, to_server, link), self._pass(server, to_client, link)
        )

    async def _pass(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        link: set[asyncio.StreamWriter],
    ) -> None:
        try:
            while data := await source.read(CHUNK_BYTES):
                await asyncio.sleep(self._delay)
                if self._whole.is_set() and sink not in self._lossy:
                    sink.write(data)
                    await sink.drain()
                else:
                    self._lossy |= link
            await self._whole.wait()  # a goodbye is swallowed, too
        except OSError:
            pass
        self._abort(link)

    def _abort(self, writers: set[asyncio.StreamWriter]) -> int:
        broken = list(writers)
        for writer in broken:
            peer = writer.get_extra_info("socket")
            if not writer.transport.is_closing():
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT_AT_ALL)
                writer.transport.abort()
        self._writers.difference_update(broken)
        self._lossy.difference_update(broken)
        return len(broken)

    async def _close(self) -> None:
        self._whole.set()
        self._acceptor.close()
        self._abort(self._writers)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)

    def _call(self, function: Callable[[], T]) -> T:
        async def call() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result()
