"""Ctrl-C in every await: at once, with nothing lost and nothing sent twice.

Each public call of a client is interrupted at its first request, made again and interrupted at its
second, and so on until it ends: by a real SIGINT, in a process of its own, while the node does not
answer. The calls are those that the class has; one that is new has to be given arguments here.
"""

import asyncio
import contextlib
import inspect
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

from hosts import ENGLISH, random_weights
from localnet import Localnet
from proxy import Proxy, always, before

from soma_sdk import Keypair, SomaClient

NAMES = sorted(
    name
    for name, method in vars(SomaClient).items()
    if (inspect.iscoroutinefunction(method) and not name.startswith("_"))
    or name in {"__await__", "__aenter__"}
)
NOTHING = "0x" + "11" * 32
FOREIGN = ("signer", "encrypted_weights", "decryption_key", "data")
"""What is no JSON: the process that calls has it."""
GIVEN: dict[str, object] = {
    "account": NOTHING,
    "recipient": NOTHING,
    "recipients": [NOTHING],
    "amounts": [2],
    "amount": 3,
    "epoch": 10**6,
    "ids_or_target": NOTHING,
    "target_id": NOTHING,
    "submission_id": NOTHING,
    "weights_url": None,
    "embedding": [1.0, -1.0] * 64,
    "new_rate": 300,
    "limit": 3,
}
"""Arguments by the name of the parameter."""
OTHERS: dict[str, dict[str, object]] = {
    "get_models": {"status": "active"},
    "request_faucet": {"account": "0x" + "22" * 32},
    "commit_model": {"commission_rate": 700},
    "reveal_pending_submissions": {},
}
"""Of one call alone."""
ENDLESS = {"wait_for_next_epoch", "wait_for_epoch", "advance_epoch"}
"""They ask until an epoch ends."""
FIRST = ("commit_model",)
LAST = ("get_pending_models", "reveal_model", "reveal_model_update", "deactivate_model", "close")
ONCE = {"transfer_coin", "pay_coins", "add_stake", "add_stake_to_model", "set_model_commission_rate"}
"""They sign one transaction each, whatever the state of the network."""
AT_ONCE = 5.0
"""How long an interrupted call may take to end; it takes milliseconds on an idle machine."""
MOST = 40


class Caller:
    """The process that makes the calls."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def begin(self, name: str, url: str, given: dict[str, object], wanted: list[str]) -> None:
        """Begin a call."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([name, url, given, wanted]).encode() + b"\n")
        await self._process.stdin.drain()

    async def end(self) -> tuple[str, str]:
        """Wait for its end: how, and what it told."""
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), 60)
        how, told = json.loads(line)
        return how, told

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)


@contextlib.asynccontextmanager
async def caller(folder: Path, home: Path, keys: Keypair) -> AsyncIterator[Caller]:
    """Have a process that calls."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", str(Path(__file__).with_name("calls.py")), str(folder)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={
            "SOMA_HOME": str(home),
            "SOMA_SECRET_KEY": keys.to_secret_key(),
            "PYTHONPATH": ":".join(sys.path),
            "PATH": os.environ["PATH"],
        },
    )
    try:
        yield Caller(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        if await process.wait() != 0:
            raise AssertionError("the process that calls did not end well")


class Stops:
    """A proxy's rule: answers `answered` requests, and none after them."""

    def __init__(self, proxy: Proxy, answered: int) -> None:
        self._left = answered
        self.stopped = asyncio.Event()
        proxy.rule = self.rule

    def rule(self, _method: bytes, _path: bytes) -> str:
        if self._left == 0:
            self.stopped.set()
            return "hang"
        self._left -= 1
        return "pass"


def arguments(name: str, model: str) -> tuple[dict[str, object], list[str]]:
    """What a call is given: as JSON, and what the process has."""
    given: dict[str, object] = {}
    wanted: list[str] = []
    if name in {"__await__", "__aenter__"}:
        return given, wanted
    for parameter in inspect.signature(getattr(SomaClient, name)).parameters.values():
        known = GIVEN | {"model_id": model, "pool": f"model:{model}"}
        if parameter.name == "models":
            given["models"] = model
        elif parameter.name in FOREIGN:
            wanted.append(parameter.name)
        elif parameter.name in OTHERS.get(name, {}):
            given[parameter.name] = OTHERS[name][parameter.name]
        elif parameter.default is inspect.Parameter.empty and parameter.name != "self":
            given[parameter.name] = known[parameter.name]
    return given, [each for each in wanted if not (name == "commit_model" and each == "decryption_key")]


async def interrupted_everywhere(
    process: Caller, proxy: Proxy, name: str, model: str
) -> tuple[int, tuple[str, str]]:
    """Interrupt a call at each of its requests; how often, and how it ended when nothing stopped it."""
    given, wanted = arguments(name, model)
    for answered in range(MOST):
        stops = Stops(proxy, answered)
        await process.begin(name, proxy.url, given, wanted)
        ended = asyncio.ensure_future(process.end())
        stopped = asyncio.ensure_future(stops.stopped.wait())
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not stops.stopped.is_set():
            stopped.cancel()
            return answered, await ended
        begun = time.monotonic()
        process.interrupt()
        assert await ended == ("interrupted", ""), f"{name}, interrupted after {answered} answers"
        assert time.monotonic() - begun < AT_ONCE, name
        if name in ENDLESS and answered == 1:
            return answered + 1, ("endless", "")
    raise AssertionError(f"{name} does not end")


async def sent(client: SomaClient, keys: Keypair) -> int:
    """How many transactions an account has sent."""
    return int((await client._ask(client._native.account(keys.address())))["nonce"])


async def test_every_await_ends_at_once_and_what_it_did_is_done_once(
    localnet: Localnet, client: SomaClient, rich: Keypair, home: Path, tmp_path: Path
) -> None:
    container, key = SomaClient.encrypt_weights(random_weights(30))
    (tmp_path / "weights.enc").write_bytes(container)
    (tmp_path / "key").write_text(key.to_hex())
    (tmp_path / "document").write_bytes(ENGLISH[:200])
    # What a commit sends when nothing stops it.
    calm = Keypair.generate()
    await client.request_faucet(calm, 100)
    await client.commit_model(calm, None, SomaClient.encrypt_weights(random_weights(31))[0], 700)

    paid = await client.get_balance(NOTHING)
    stops: dict[str, int] = {}
    grown: dict[str, int] = {}
    model = NOTHING
    order = [*FIRST, *(name for name in NAMES if name not in (*FIRST, *LAST)), *LAST]
    async with before(localnet.port) as proxy, caller(tmp_path, home, rich) as process:
        for name in order:
            already = await sent(client, rich)
            stops[name], (how, told) = await interrupted_everywhere(process, proxy, name, model)
            assert how in {"returned", "refused", "endless"}, f"{name} {how}: {told}"
            grown[name] = await sent(client, rich) - already
            if name in {*FIRST, *ONCE}:
                assert how == "returned", f"{name} {how}: {told}"
            if name == "commit_model":
                model = told
        proxy.rule = always("pass")

    assert sorted(order) == NAMES
    assert [name for name in order if stops[name] == 0] == ["close"], "all others ask the node"
    assert stops["commit_model"] > 5
    assert sum(stops.values()) > 100
    # Interrupted wherever it waits, each was sent once.
    assert grown["commit_model"] == await sent(client, calm)
    assert {name: grown[name] for name in ONCE} == dict.fromkeys(ONCE, 1)
    assert await client.get_balance(NOTHING) - paid == Decimal(3 + 2)
    (made,) = await client.get_models(owner=rich)
    assert made.id == model


async def test_ctrl_c_ends_a_score_that_is_awaited(
    localnet: Localnet, rich: Keypair, home: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(random_weights(32))
    for name in ("weights.enc", "document"):
        (tmp_path / name).write_bytes(b"some text " * 1_000_000)
    (tmp_path / "key").write_text("00" * 32)
    async with caller(tmp_path, home, rich) as process:
        await process.begin("score", localnet.url, {"models": str(weights)}, ["data"])
        await asyncio.sleep(1.5)
        begun = time.monotonic()
        process.interrupt()
        assert await process.end() == ("interrupted", "")
        assert time.monotonic() - begun < AT_ONCE
