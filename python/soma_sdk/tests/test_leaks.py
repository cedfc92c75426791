"""What runs for weeks does not grow: a thousand rounds of each kind leave nothing behind.

Each kind runs in a process of its own, which counts before and after: open files, threads, tasks of
the event loop, Python's objects, memory.
"""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hosts import random_weights

from soma_models.v1.configs import ModelConfig

ROUNDS = 1000
MORE_MAX = {"files": 2, "threads": 16, "tasks": 0, "objects": ROUNDS // 10, "memory": 16 << 20}
"""What chance leaves: idle threads live for some seconds, an allocator keeps some memory."""
SMALL = ModelConfig(dropout_rate=0.0, embedding_dim=16, heads=2, layers=1, ffn_dim=16, max_seq_len=16)

SCRIPT = """
import asyncio, collections, gc, json, os, sys, time
from soma_sdk import Keypair, SomaClient, SomaError, _bridge, _soma_sdk, score

URL, WEIGHTS, ARCHITECTURE = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
NOTHING = "0x" + "11" * 32

def count():
    gc.collect()
    pages = int(open("/proc/self/statm").read().split()[1])
    return {
        "files": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
        "tasks": len(asyncio.all_tasks()),
        "objects": len(gc.get_objects()),
        "memory": pages * os.sysconf("SC_PAGE_SIZE"),
    }

async def settled():
    # Connections close and idle threads end a moment later.
    last = count()
    for _ in range(150):
        await asyncio.sleep(0.1)
        now = count()
        if all(now[name] >= last[name] for name in ("files", "threads", "tasks")):
            return now
        last = now
    return last

async def main():
    shared = await SomaClient(URL)
    keys = Keypair.generate()
ROUND
    for _ in range(200):
        await a_round()
    before = await settled()
    for _ in range(ROUNDS):
        await a_round()
    after = await settled()
    await shared.close()
    print(json.dumps([before, after]))

asyncio.run(main())
"""

KINDS = {
    "opened and closed": """
        async def a_round():
            async with SomaClient(URL) as client:
                assert client.chain_id
    """,
    "opened and forgotten": """
        async def a_round():
            await SomaClient(URL)
    """,
    "cancelled while they wait": """
        async def a_round():
            waits = [asyncio.ensure_future(shared.wait_for_epoch(10**6)) for _ in range(3)]
            await asyncio.sleep(0.001)
            for wait in waits:
                wait.cancel()
            ended = await asyncio.gather(*waits, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError) for each in ended)
    """,
    "closed while they wait": """
        async def a_round():
            client = SomaClient(URL)
            wait = asyncio.ensure_future(client.wait_for_epoch(10**6))
            await asyncio.sleep(0)
            await client.close()
            try:
                await wait
            except SomaError:
                return
            raise AssertionError("it went on")
    """,
    "failed": """
        async def a_round():
            for call in (shared.get_model(NOTHING), shared.get_target("0x12"), shared.get_balance("me")):
                try:
                    await call
                except SomaError:
                    continue
                raise AssertionError("it did not fail")
    """,
    "scored": """
        async def a_round():
            given = {"architecture": ARCHITECTURE, "threads": 2, "progress": lambda done, total: None}
            score(WEIGHTS, b"some text", **given)
            try:
                score(WEIGHTS, b"", architecture=ARCHITECTURE)
            except SomaError:
                return
            raise AssertionError("it did not fail")
    """,
    "scored and cancelled": """
        async def a_round():
            work = _bridge.run(_soma_sdk.score([WEIGHTS], [b"some text " * 1000], json.dumps(ARCHITECTURE)))
            task = asyncio.ensure_future(work)
            await asyncio.sleep(0.0005)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            # Its threads end after the chunks in hand; many at once would be many stacks.
            while len(os.listdir("/proc/self/task")) > 12:
                await asyncio.sleep(0.001)
    """,
    "encrypted and decrypted": """
        async def a_round():
            container, key = SomaClient.encrypt_weights(bytes(100_000))
            assert len(SomaClient.decrypt_weights(container, key)) == 100_000
    """,
}


LEAK = """
        kept = []
        async def a_round():
            kept.append(await SomaClient(URL))
"""

Count = dict[str, int]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts what Linux tells in /proc")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.replace(" ", "_"))
def test_a_thousand_rounds_leave_nothing(kind: str, home: Path, tmp_path: Path) -> None:
    before, after = counted(KINDS[kind], home, tmp_path)
    assert grown(before, after) == [], f"{kind}: before {before}, after {after}"


def test_a_leak_would_be_seen(home: Path, tmp_path: Path) -> None:
    before, after = counted(LEAK, home, tmp_path, rounds=300)
    assert {"files", "objects"} <= set(grown(before, after))


def grown(before: Count, after: Count) -> list[str]:
    """What there is more of than chance leaves."""
    return [name for name, more in MORE_MAX.items() if after[name] > before[name] + more]


def counted(body: str, home: Path, tmp_path: Path, rounds: int = ROUNDS) -> tuple[Count, Count]:
    """What there is before the rounds, and after them."""
    weights = tmp_path / "small.safetensors"
    weights.write_bytes(random_weights(40, SMALL))
    script = SCRIPT.replace("ROUNDS", str(rounds))
    script = script.replace("ROUND\n", textwrap.indent(textwrap.dedent(body), "    "))
    url = json.loads((home / "networks.json").read_text())["testnet"]
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, url, str(weights), json.dumps(SMALL.architecture())],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={
            "SOMA_HOME": str(home),
            "PYTHONPATH": ":".join(sys.path),
            "PATH": os.environ["PATH"],
            "MALLOC_ARENA_MAX": "1",  # or each of many threads keeps memory of its own
        },
    )
    assert process.returncode == 0, process.stderr
    before, after = json.loads(process.stdout)
    return before, after
