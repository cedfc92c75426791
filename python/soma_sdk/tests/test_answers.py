"""Whatever a node answers, and however slowly, is a result or an exception of this package, soon."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hosts import random_weights
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from localnet import Localnet
from proxy import Proxy, always, before

from soma_sdk import Keypair, SomaClient, errors

RETRIED = 10.0
"""For so long a client asks again where that may help."""


def answer(body: bytes, status: str = "200 OK", length: int | None = None, more: str = "") -> bytes:
    """An HTTP answer."""
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\ncontent-length: {size}\r\n{more}\r\n".encode() + body


ANSWERS: dict[str, tuple[bytes, type[errors.SomaError], str]] = {
    "cut off": (answer(b'{"network":', length=1000), errors.ConnectionBroken, "same call again is safe"),
    "cut in the head": (b"HTTP/1.1 200", errors.ConnectionBroken, "same call again is safe"),
    "no HTTP": (b"220 mail.example.org ESMTP\r\n\r\n", errors.ConnectionBroken, "same call again is safe"),
    "too long": (answer(b"{", length=1 << 40), errors.BadAnswer, "another version, or be no SOMA node"),
    "empty": (answer(b""), errors.BadAnswer, "makes no sense"),
    "another type": (answer(b"[1, 2]"), errors.BadAnswer, "makes no sense"),
    "deep": (answer(b"[" * 100_000), errors.BadAnswer, "makes no sense"),
    "not UTF-8": (answer(b'{"network":"\xff\xfe"}'), errors.BadAnswer, "makes no sense"),
    "busy": (answer(b"", "503 Service Unavailable"), errors.ConnectionBroken, "503"),
    "limited": (answer(b"slow down", "429 Too Many Requests"), errors.NodeBusy, "wait a moment"),
    "gateway": (answer(b"<html>", "502 Bad Gateway"), errors.ConnectionBroken, "502"),
    "moved": (
        answer(b"", "301 Moved Permanently", more="location: http://example.org/\r\n"),
        errors.NodeRefused,
        "give that address",
    ),
    "forbidden": (answer(b"no", "403 Forbidden"), errors.NodeRefused, "403"),
    "missing": (answer(b"no", "404 Not Found"), errors.NotFound, "404"),
}


async def test_bad_answers_are_typed_errors_that_say_what_to_do(localnet: Localnet, home: Path) -> None:
    async def asked(name: str) -> None:
        raw, kind, words = ANSWERS[name]
        async with before(localnet.port) as proxy:
            client = await SomaClient(proxy.url, home=home)
            proxy.rule = always(raw)
            begun = time.monotonic()
            with pytest.raises(errors.NodeError) as caught:
                await client.get_latest_system_state()
            assert (type(caught.value), words in str(caught.value)) == (kind, True), (name, str(caught.value))
            assert time.monotonic() - begun < RETRIED + 10, name

    await asyncio.gather(*map(asked, ANSWERS))


async def test_what_is_signed_is_not_lost_by_a_bad_answer(
    localnet: Localnet, home: Path, rich: Keypair, client: SomaClient
) -> None:
    """Whatever comes back when it is handed in: the same call again pays once."""
    other = Keypair.generate()
    async with before(localnet.port) as proxy:
        unlucky = await SomaClient(proxy.url, home=home)
        for count, raw in enumerate((answer(b""), answer(b"<html>", "502 Bad Gateway"), b"HTTP/1.1 200"), 1):
            proxy.rule = lambda _, path, raw=raw: raw if path == b"/v1/transactions" else "pass"  # type: ignore[misc]
            with pytest.raises((errors.SomaError, TimeoutError, asyncio.TimeoutError)):
                await asyncio.wait_for(unlucky.transfer_coin(rich, other, count), 2)
            proxy.rule = always("pass")
            await unlucky.transfer_coin(rich, other, count)
    assert await client.get_balance(other) == 1 + 2 + 3


async def test_a_slow_node_is_waited_for(localnet: Localnet, home: Path, rich: Keypair) -> None:
    async with before(localnet.port) as proxy:
        proxy.rule = always("slow")
        client = await SomaClient(proxy.url, home=home)
        assert (await client.get_latest_system_state()).validators == 4
        await client.transfer_coin(rich, Keypair.generate(), 1)


async def test_nothing_is_signed_by_a_node_that_is_behind(
    localnet: Localnet, home: Path, rich: Keypair, client: SomaClient
) -> None:
    """Reading goes on; what is signed waits until it has caught up, or fails and says so."""
    other = Keypair.generate()
    async with before(localnet.port) as proxy:
        late = await SomaClient(proxy.url, home=home)
        proxy.rule = always("behind")
        assert await late.get_balance(rich) == 500
        paying = asyncio.ensure_future(late.transfer_coin(rich, other, 1))
        await asyncio.sleep(1)
        proxy.rule = always("pass")
        await paying
        proxy.rule = always("behind")
        await asyncio.sleep(2.5)  # that it kept up a moment ago is believed for two seconds
        with pytest.raises(errors.NodeBehind, match=r"s old: nothing was signed.*catching up"):
            await late.transfer_coin(rich, other, 1)
        assert [method for method, _, what in proxy.asked if what == "behind" and method == b"POST"] == []
    assert await client.get_balance(other) == 1


async def test_other_bytes_than_those_asked_for_are_refused(localnet: Localnet, home: Path) -> None:
    async with before(localnet.port) as proxy:
        client = await SomaClient(proxy.url, home=home)
        content = b"some content " * 1000
        name = await client._ask(client._native.put_blob(content))
        assert await client._run(client._native.blob(name)) == content
        proxy.rule = always("corrupt")
        with pytest.raises(errors.WrongHash):
            await client._run(client._native.blob(name))


json_values = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text(max_size=20),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changed=some.dictionaries(some.integers(0, 30), json_values, min_size=1, max_size=5), whole=json_values
)
async def test_any_json_is_read_or_refused(
    localnet: Localnet, home: Path, changed: dict[int, Any], whole: Any
) -> None:
    """The real answers with other values in their fields, and any JSON at all."""
    async with before(localnet.port) as proxy:
        client = await SomaClient(proxy.url, home=home)
        status = await client._ask(client._native.status())
        fields = list(status)
        for place, value in changed.items():
            status[fields[place % len(fields)]] = value
        for body in (json.dumps(status), json.dumps(whole)):
            raw = answer(body.encode())
            proxy.rule = lambda _, path, raw=raw: raw if path == b"/v1/status" else "pass"  # type: ignore[misc]
            try:
                await client.get_latest_system_state()
            except errors.NodeError:
                continue
        await client.close()


def told(proxy: Proxy, start: bytes, value: Any) -> None:
    """Answer so to every request whose path begins so."""
    raw = answer(json.dumps(value).encode())
    proxy.rule = lambda _, path: raw if path.startswith(start) else "pass"


async def test_answers_about_something_else_are_bad_answers(
    localnet: Localnet, home: Path, rich: Keypair
) -> None:
    async with before(localnet.port) as proxy:
        client = await SomaClient(proxy.url, home=home)
        other = Keypair.generate()
        account = await client._ask(client._native.account(rich.address()))
        told(proxy, b"/v1/accounts/", account)
        assert await client.get_balance(rich) == 500
        with pytest.raises(errors.BadAnswer, match=f"it is about {rich.address()}"):
            await client.get_balance(other)
        proxy.rule = always("pass")
        now = await client._ask(client._native.epoch())
        told(proxy, b"/v1/epochs/", now)
        with pytest.raises(errors.BadAnswer, match="it is about"):
            await client.get_epoch_seed(now["epoch"] + 1)


async def test_lists_without_end_have_one(localnet: Localnet, home: Path, rich: Keypair) -> None:
    async with before(localnet.port) as proxy:
        client = await SomaClient(proxy.url, home=home)
        told(proxy, b"/v1/submissions", {"items": [], "next": "on and on"})
        asked = len(proxy.asked)
        assert await asyncio.wait_for(client.get_submissions(), 10) == []
        assert await asyncio.wait_for(client.get_targets(submitter=rich), 10) == []
        assert len(proxy.asked) - asked == 2 * 2


async def test_the_least_stake_is_no_word_to_take_all(
    localnet: Localnet, home: Path, rich: Keypair, client: SomaClient
) -> None:
    """A node that calls all one has the least stake of a model, does not get it."""
    encrypted, _ = SomaClient.encrypt_weights(random_weights(71))
    parameters = dict(await client.get_parameters())
    parameters["model_stake_min"] = str(SomaClient.to_shannons(480))
    async with before(localnet.port) as proxy:
        victim = await SomaClient(proxy.url, home=home)
        told(proxy, b"/v1/params", parameters)
        with pytest.raises(errors.StakeTooHigh, match=r"is 480 .* more than max_stake, 100: nothing was"):
            await victim.commit_model(rich, None, encrypted)
        assert not any(method == b"POST" for method, _, _ in proxy.asked)
        willing = await SomaClient(proxy.url, home=home, max_stake="480")
        assert await willing.get_least_stake() == 480
    assert await client.get_balance(rich) == 500
