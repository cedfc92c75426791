"""Nodes that are down, hang, lie or restart; awaits that end early; many calls at once; forks and the end."""

import asyncio
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hosts import random_weights
from localnet import Localnet
from ports import free_port
from proxy import always, before

from soma_sdk import Keypair, SomaClient, _bridge, _soma_sdk, errors, score


async def test_a_node_that_is_down_is_said_to_be(home: Path) -> None:
    with pytest.raises(errors.NodeUnreachable, match="cannot be reached") as caught:
        await SomaClient(f"http://127.0.0.1:{free_port()}", home=home)
    assert isinstance(caught.value, ConnectionError)


async def test_an_answer_that_is_none_is_said_to_be(localnet: Localnet, home: Path) -> None:
    async with before(localnet.port) as proxy:
        proxy.rule = always("garbage")
        with pytest.raises(errors.BadAnswer, match="makes no sense"):
            await SomaClient(proxy.url, home=home)


async def test_a_hanging_node_is_left_at_once(localnet: Localnet, home: Path) -> None:
    async with before(localnet.port) as proxy:
        proxy.rule = always("hang")
        begun = time.monotonic()
        with pytest.raises((asyncio.TimeoutError, TimeoutError)):
            await asyncio.wait_for(SomaClient(proxy.url, home=home).get_latest_system_state(), 0.3)
        assert time.monotonic() - begun < 2


async def test_nothing_is_signed_for_another_network(
    localnet: Localnet, home: Path, rich: Keypair, client: SomaClient
) -> None:
    async with before(localnet.port) as proxy:
        victim = await SomaClient(proxy.url, home=home)
        before_it = await client.get_balance(rich)
        proxy.rule = lambda _, path: "lie" if path == b"/v1/status" else "pass"
        with pytest.raises(errors.OtherChain, match="nothing was signed"):
            await victim.transfer_coin(rich, rich, 1)
        with pytest.raises(errors.OtherChain):
            await victim.get_latest_system_state()
        assert not any(method == b"POST" for method, _, _ in proxy.asked)
        assert await client.get_balance(rich) == before_it
    wrong = "0x" + "12" * 32
    with pytest.raises(errors.OtherChain):
        await SomaClient(localnet.url, chain_id=wrong, home=home)


async def test_a_lost_answer_is_no_second_payment(
    localnet: Localnet, home: Path, rich: Keypair, client: SomaClient
) -> None:
    other = Keypair.generate()
    async with before(localnet.port) as proxy:
        unlucky = await SomaClient(proxy.url, home=home)
        proxy.rule = lambda _, path: "swallow" if path == b"/v1/transactions" else "pass"
        # The client looks it up, and finds it.
        await unlucky.transfer_coin(rich, other, 1)
        assert await client.get_balance(other) == 1
        # Now nothing at all is heard once it is handed in.
        lost = False

        def rule(_: bytes, path: bytes) -> str:
            nonlocal lost
            lost = lost or path == b"/v1/transactions"
            return "swallow" if lost else "pass"

        proxy.rule = rule
        with pytest.raises((asyncio.TimeoutError, TimeoutError)):
            await asyncio.wait_for(unlucky.transfer_coin(rich, other, 2), 1.5)
        proxy.rule = always("pass")
        await unlucky.transfer_coin(rich, other, 2)
    assert await client.get_balance(other) == 3


async def test_cancelled_payments_happen_once(rich: Keypair, client: SomaClient) -> None:
    other = Keypair.generate()
    await client.transfer_coin(rich, other, 1)
    cancelled = 0
    for step in range(10):
        task = asyncio.ensure_future(client.transfer_coin(rich, other, 3))
        await asyncio.sleep(0.004 * step)
        task.cancel()
        try:
            await task
            break
        except asyncio.CancelledError:
            cancelled += 1
    else:
        await client.transfer_coin(rich, other, 3)
    assert cancelled > 0
    assert await client.get_balance(other) == 4


async def test_a_thousand_calls_at_once(client: SomaClient, rich: Keypair) -> None:
    balances = await asyncio.gather(*(client.get_balance(rich) for _ in range(1000)))
    assert set(balances) == {Decimal(500)}
    tasks = [asyncio.ensure_future(client.get_latest_system_state()) for _ in range(300)]
    await asyncio.sleep(0.02)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(result, asyncio.CancelledError) for result in results) > 0
    assert not [result for result in results if isinstance(result, Exception)]


async def test_many_payments_at_once_are_all_made(client: SomaClient, rich: Keypair) -> None:
    others = [Keypair.generate() for _ in range(20)]
    await asyncio.gather(*(client.transfer_coin(rich, other, 1) for other in others))
    assert [await client.get_balance(other) for other in others] == [1] * 20


async def test_a_closed_client_says_so(localnet: Localnet, home: Path) -> None:
    async with before(localnet.port) as proxy:
        client = await SomaClient(proxy.url, home=home)
        proxy.rule = always("hang")
        waiting = asyncio.ensure_future(client.get_latest_system_state())
        await asyncio.sleep(0.1)
        await client.close()
        with pytest.raises(errors.ClientClosed):
            await waiting
        with pytest.raises(errors.ClientClosed):
            await client.get_latest_system_state()


async def test_a_node_that_restarts_is_waited_for(tmp_path: Path) -> None:
    network = Localnet(tmp_path)
    network.start()
    try:
        async with SomaClient(network.url, home=tmp_path / "home") as client:
            keys = Keypair.generate()
            await client.request_faucet(keys, 100)
            epoch = (await client.get_latest_system_state()).epoch
            waiting = asyncio.ensure_future(client.wait_for_epoch(epoch + 1, timeout=120))
            await asyncio.to_thread(network.stop)
            await asyncio.to_thread(network.start)
            assert await waiting >= epoch + 1
            await client.transfer_coin(keys, Keypair.generate(), 1)
    finally:
        network.stop()


def child(script: str, home: Path, *, send: signal.Signals | None = None) -> subprocess.CompletedProcess[str]:
    """Run a script; after its first line, send it a signal."""
    environment = {"SOMA_HOME": str(home), "PYTHONPATH": ":".join(sys.path), "PATH": os.environ["PATH"]}
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    first = process.stdout.readline() if send is not None else ""
    if send is not None:
        time.sleep(0.2)
        process.send_signal(send)
    output, error = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, first + output, error)


def test_ctrl_c_ends_an_await(home: Path) -> None:
    begun = time.monotonic()
    ended = child(
        """
        import asyncio
        from soma_sdk import SomaClient

        async def run():
            client = await SomaClient("testnet")
            print("waiting", flush=True)
            await client.wait_for_epoch(10**6)

        asyncio.run(run())
        """,
        home,
        send=signal.SIGINT,
    )
    assert "KeyboardInterrupt" in ended.stderr
    assert ended.returncode == -signal.SIGINT
    assert time.monotonic() - begun < 20


def test_a_fork_is_noticed(home: Path) -> None:
    ended = child(
        """
        import asyncio, os
        from soma_sdk import SomaClient, errors

        async def balance(client):
            await client.get_latest_system_state()

        async def connect():
            return await SomaClient("testnet")

        client = asyncio.run(connect())
        child = os.fork()
        if child == 0:
            try:
                asyncio.run(balance(client))
            except errors.ForkedProcess as error:
                assert str(os.getpid()) in str(error) and str(os.getppid()) in str(error), error
                # A client of one's own works.
                asyncio.run(balance(asyncio.run(connect())))
                os._exit(7)
            os._exit(1)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status))
        asyncio.run(balance(client))
        """,
        home,
    )
    assert (ended.stdout, ended.stderr, ended.returncode) == ("7\n", "", 0)


def test_the_end_of_the_interpreter_is_quiet(home: Path) -> None:
    ended = child(
        """
        import asyncio
        from soma_sdk import SomaClient

        async def run():
            client = await SomaClient("testnet")
            for _ in range(50):
                asyncio.ensure_future(client.wait_for_epoch(10**6))
            await asyncio.sleep(0.1)

        loop = asyncio.new_event_loop()
        loop.run_until_complete(run())
        """,
        home,
    )
    assert ended.returncode == 0
    assert "panicked" not in ended.stderr
    assert "Fatal" not in ended.stderr


def test_keys_are_not_shown_and_not_pickled() -> None:
    keys = Keypair.generate()
    secret = keys.to_secret_key().removeprefix("0x")
    assert secret not in repr(keys)
    assert secret not in str(keys)
    assert keys == Keypair.from_secret_key(secret) == Keypair.from_secret_key("0x" + secret)
    _, key = SomaClient.encrypt_weights(b"weights")
    assert key.to_hex() not in repr(key)
    for thing in (keys, key):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(thing)
    for bad in ("", "0x12", "zz" * 32, secret + "00", "words " * 12):
        with pytest.raises(errors.InvalidArgument) as caught:
            Keypair.from_secret_key(bad)
        assert not bad.strip() or bad not in str(caught.value)


def test_errors_survive_pickling() -> None:
    error = errors._from_native("RejectedError", "no", {"code": 304, "name": "AlreadyCommitted"})
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.code, again.name, str(again)) == (type(error), 304, "AlreadyCommitted", "no")


def test_networks_have_names(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidArgument, match=r"networks\.json"):
        SomaClient("testnet", home=tmp_path)
    file = tmp_path / "networks.json"
    file.write_text('{"testnet": {"url": "http://127.0.0.1:1", "chain_id": "0x' + "ab" * 32 + '"}}')
    client = SomaClient("testnet", home=tmp_path)
    assert (client.url, client.chain_id) == ("http://127.0.0.1:1", "0x" + "ab" * 32)
    for bad in ("[]", "{", '{"testnet": 7}', '{"testnet": {}}'):
        file.write_text(bad)
        with pytest.raises(errors.InvalidArgument, match="no list of networks"):
            SomaClient("testnet", home=tmp_path)
    assert "secret" not in repr(SomaClient("http://me:secret@127.0.0.1:1", home=tmp_path))
    with pytest.raises(errors.InvalidArgument) as caught:
        SomaClient("http://me:secret@[", home=tmp_path)
    assert "secret" not in str(caught.value)


def test_an_operation_outside_of_a_loop_can_be_waited_for(localnet: Localnet, home: Path) -> None:
    native = _soma_sdk.Client(localnet.url, home)
    answer = native.status().wait()
    assert isinstance(answer, str)
    assert '"chain"' in answer


def test_what_is_never_begun_is_let_go_of_freely(home: Path) -> None:
    """What a callback does when it goes may be anything: cancel the very operation it was given to."""
    ended = child(
        """
        import faulthandler
        from soma_sdk import _soma_sdk

        faulthandler.dump_traceback_later(20, exit=True)

        class Callback:
            def __call__(self, done, total): pass
            def __del__(self):
                operation.cancel()
                print("gone")

        operation = _soma_sdk.score([], [], "nano", None, None, Callback())
        operation.cancel()
        """,
        home,
    )
    assert (ended.stdout, ended.stderr, ended.returncode) == ("gone\n", "", 0)


@pytest.mark.skipif(not _soma_sdk.DEBUG, reason="only a debug build panics on purpose")
async def test_a_panic_is_an_exception(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(errors.WorkerPanicked, match="on purpose") as caught:
        await _bridge.run(_soma_sdk._panic())  # type: ignore[attr-defined]
    assert isinstance(caught.value, RuntimeError)
    with pytest.raises(errors.WorkerPanicked):
        _soma_sdk._panic().wait()  # type: ignore[attr-defined]
    # On the threads that hash, decrypt and score.
    with pytest.raises(errors.WorkerPanicked, match="on purpose"):
        await _bridge.run(_soma_sdk._panic(worker=True))  # type: ignore[attr-defined]
    assert "panicked" in capfd.readouterr().err


async def test_arguments_of_another_kind_are_named(client: SomaClient) -> None:
    keys: Any = Keypair.generate()
    wrong: list[tuple[Any, str]] = [
        (lambda: client.get_balance(None), "an account is its address or a Keypair, not None"),
        (lambda: client.get_balance(5), "not of type int"),
        (lambda: client.get_model(None), "an id is text, or what has one, not None"),
        (lambda: client.transfer_coin(None, keys, 1), "the signer is a Keypair, not None"),
        (lambda: client.transfer_coin(keys.address(), keys, 1), "the signer is a Keypair, not of type str"),
        (lambda: client.add_stake(keys, None, 1), "a pool is a model, or"),
        (lambda: client.get_epoch_seed(-1), "epoch is a whole number from 0 on, not -1"),
        (lambda: client.wait_for_epoch(-1), "epoch is a whole number"),
        (lambda: client.get_targets(epoch="7"), "epoch is a whole number, not '7'"),
        (lambda: client.get_targets(limit="5"), "limit is a whole number, not '5'"),
        (lambda: client.get_submissions(limit=2**70), "limit is a whole number from 0 on"),
        (lambda: client.score([b""], b"text", threads=0), "threads is a whole number from 1 on"),
    ]
    for call, said in wrong:
        with pytest.raises(errors.InvalidArgument, match=said):
            await call()
    with pytest.raises(errors.InvalidArgument, match="architecture is its name, or its sizes"):
        score([b""], b"text", architecture=None)


def test_threads_are_no_more_than_help() -> None:
    """A million of them once took a machine down."""
    begun = time.monotonic()
    contest = score([random_weights(83)], b"some text", architecture="nano", threads=10**6)
    assert time.monotonic() - begun < 30
    assert hash(contest) == hash(score([random_weights(83)], b"some text", architecture="nano"))


def test_a_client_is_closed_from_another_loop(localnet: Localnet, home: Path) -> None:
    """What waits there ends; neither hangs."""
    waiting, ended = threading.Event(), []

    async def wait() -> None:
        client = clients[0]
        asyncio.get_running_loop().call_later(0.3, waiting.set)
        with pytest.raises(errors.ClientClosed):
            await client.wait_for_epoch(10**6)
        ended.append(True)

    clients = [SomaClient(localnet.url, home=home)]
    thread = threading.Thread(target=lambda: asyncio.run(wait()))
    thread.start()
    assert waiting.wait(30)
    asyncio.run(asyncio.wait_for(clients[0].close(), 30))
    thread.join(30)
    assert ended == [True]
