"""A node that misbehaves: a proxy before a real one."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

Rule = Callable[[bytes, bytes], str | bytes]
"""From method and path to what is done: pass, slow (pass, a few bytes at a time), hang, garbage, close,
swallow (ask, and lose the answer), lie (name another network), behind (blocks of long ago), corrupt (the
answer's last byte). Bytes are the whole answer."""

PIECE = 16
PAUSE = 0.01


def always(what: str | bytes) -> Rule:
    """Do the same to every request."""
    return lambda _method, _path: what


class Proxy:
    """Passes requests on, or does not."""

    def __init__(self, target_port: int) -> None:
        self.rule: Rule = always("pass")
        self.asked: list[tuple[bytes, bytes, str | bytes]] = []
        self.url = ""
        self._port = target_port
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._request(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(_length(head))
        method, path, _ = head.split(b"\r\n")[0].split(b" ")
        what = self.rule(method, path)
        self.asked.append((method, path, what))
        if what == "hang":
            await asyncio.sleep(3600)
        if what == "close":
            return False
        if isinstance(what, bytes):
            writer.write(what)
            await writer.drain()
            return False
        if what == "garbage":
            answer = b"<html>it works</html>"
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(answer), answer))
            await writer.drain()
            return True
        answer = await self._ask(head, body)
        if what == "swallow":
            return False
        answer = _changed(answer, what)
        if what == "slow":
            for start in range(0, len(answer), PIECE):
                writer.write(answer[start : start + PIECE])
                await writer.drain()
                await asyncio.sleep(PAUSE)
            return True
        writer.write(answer)
        await writer.drain()
        return True

    async def _ask(self, head: bytes, body: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(head + body)
            await writer.drain()
            answer = await reader.readuntil(b"\r\n\r\n")
            return answer + await reader.readexactly(_length(answer))
        finally:
            writer.close()

    async def end(self) -> None:
        """End every connection."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _changed(answer: bytes, how: str) -> bytes:
    """An answer as a node gives it that is not what it seems; of the same length."""
    if how == "lie":
        place = answer.find(b'"chain":"0x') + len(b'"chain":"0x')
        other = b"0" if answer[place : place + 1] != b"0" else b"1"
        return answer[:place] + other + answer[place + 1 :]
    if how == "behind":
        # Without its first digit, a time is decades ago.
        return answer.replace(b'"timestamp_ms":1', b'"timestamp_ms": ')
    if how == "corrupt":
        return answer[:-1] + bytes([answer[-1] ^ 1])
    return answer


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


@asynccontextmanager
async def before(port: int) -> AsyncIterator[Proxy]:
    """A proxy before the node at a port of this machine."""
    proxy = Proxy(port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        await proxy.end()
