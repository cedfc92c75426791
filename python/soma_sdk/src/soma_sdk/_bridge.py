"""Awaiting what Rust does."""

import asyncio
from typing import Any

from soma_sdk._soma_sdk import Operation


async def run(operation: Operation) -> Any:
    """Run an operation to its end, or drop it when the await is cancelled.

    The event loop keeps SIGINT and cancellation; whatever ends the await ends the Rust future.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def settle(answer: object, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(answer)
        else:
            future.set_exception(error)

    def done(answer: object, error: BaseException | None) -> None:
        loop.call_soon_threadsafe(settle, answer, error)

    try:
        operation.start(done)
        return await future
    finally:
        operation.cancel()
