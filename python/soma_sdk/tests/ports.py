"""Ports for servers that tests start, and start again where they were.

The system gives any outgoing connection a port of its ephemeral range, where it likes (Linux: from
32768 on): one from there that was free a moment ago may be another's now. These lie below it.
"""

import itertools
import os
import socket

FIRST, LAST = 10_000, 32_000
IN_A_ROW = 4
"""A localnet's validators listen one after the other."""
OF_A_PROCESS = 40
"""Processes whose ids follow one another, as pytest's workers' do, look in different places."""

_places = itertools.count(os.getpid() * OF_A_PROCESS, IN_A_ROW)


def free_port() -> int:
    """The first of four ports that nobody has; none of them is given to this process again soon."""
    for place in itertools.islice(_places, (LAST - FIRST) // IN_A_ROW):
        port = FIRST + place % (LAST - FIRST)
        if all(_is_free(port + offset) for offset in range(IN_A_ROW)):
            return port
    raise RuntimeError(f"no {IN_A_ROW} free ports in a row from {FIRST} to {LAST}: stop what has them")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
