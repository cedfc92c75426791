"""Threads: each with its own event loop and client, or scoring; all at once, with a GIL or without."""

import asyncio
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hosts import random_weights

from soma_sdk import Keypair, SomaClient, errors, score, to_shannons, verify

THREADS = 8


def at_once(work: Callable[[int], None]) -> None:
    """Run it in many threads that begin together."""
    gate = threading.Barrier(THREADS)
    failures: list[BaseException] = []

    def run(index: int) -> None:
        gate.wait()
        try:
            work(index)
        except BaseException as error:  # noqa: BLE001 - raised below
            failures.append(error)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_the_import_leaves_the_gil_off() -> None:
    enabled = getattr(sys, "_is_gil_enabled", lambda: True)
    if getattr(sys, "abiflags", "").find("t") < 0:
        pytest.skip("this Python has a GIL")
    assert not enabled()


def test_each_thread_has_its_loop_and_client(home: Path) -> None:
    keys = Keypair.generate()

    async def several() -> None:
        async with SomaClient("testnet", home=home) as client:
            balances = await asyncio.gather(*(client.get_balance(keys) for _ in range(20)))
            assert set(balances) == {0}
            with pytest.raises(errors.NotFound):
                await client.get_model("0x" + "11" * 32)

    at_once(lambda _: asyncio.run(several()))


def test_payments_of_one_account_from_many_threads_are_all_made(home: Path) -> None:
    """Threads are as processes are: they take turns by the journal."""
    keys = Keypair.generate()
    others = [Keypair.generate() for _ in range(THREADS)]

    async def begin() -> None:
        async with SomaClient("testnet", home=home) as client:
            await client.request_faucet(keys, 100)

    async def pay(index: int) -> None:
        async with SomaClient("testnet", home=home) as client:
            await client.transfer_coin(keys, others[index], index + 1)
            assert await client.get_balance(others[index]) == index + 1

    asyncio.run(begin())
    at_once(lambda index: asyncio.run(pay(index)))


def test_scores_are_the_same_from_any_thread(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(random_weights(50))
    text = b"the same text for all " * 4
    expected = score(weights, text, architecture="nano")

    def work(index: int) -> None:
        assert score(weights, text, architecture="nano", threads=1 + index % 3) == expected

    at_once(work)


def test_keys_and_containers_are_shared_between_threads() -> None:
    keys = Keypair.generate()
    container, key = SomaClient.encrypt_weights(b"weights" * 1000)

    def work(index: int) -> None:
        for step in range(50):
            message = b"%d %d" % (index, step)
            assert verify(keys.public_key(), message, keys.sign(message))
            assert SomaClient.decrypt_weights(container, key) == b"weights" * 1000
            assert to_shannons("0.5") == 500_000_000

    at_once(work)
