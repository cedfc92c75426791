"""A model's life: what the documents' snippets do, and what a crash, a repetition or a mistake does to it."""

import asyncio
import random
import subprocess
import sys
import textwrap
import time
from decimal import Decimal
from pathlib import Path

import pytest
from hosts import hosting, random_weights

from soma_sdk import Keypair, SomaClient, errors, rejections

DIM = 128
EMBEDDING = [float(index % 7) - 3.0 for index in range(DIM)]


async def beginning(client: SomaClient) -> None:
    """Wait for an epoch's beginning, where that is near: what follows is to be in one epoch."""
    status = await client._ask(client._native.status())
    left = status["epoch_first_height"] + status["epoch_length_blocks"] - status["height"]
    if left * status["block_ms"]["p50"] < 6_000:
        await client.wait_for_epoch(status["epoch"] + 1)


async def test_a_models_life(client: SomaClient, rich: Keypair, tmp_path: Path) -> None:
    weights = random_weights(1)
    with hosting() as host:
        encrypted, key = SomaClient.encrypt_weights(weights)
        url = host.put("weights.enc", encrypted)
        model_id = await client.commit_model(
            signer=rich,
            weights_url=url,
            encrypted_weights=encrypted,
            commission_rate=1000,
        )
        assert [pending.model_id for pending in await client.get_pending_models(rich)] == [model_id]
        assert await client.wait_for_next_epoch() == (await client.get_pending_models(rich))[0].reveal_in
        # Still the reveal's epoch: nobody waits past it.
        begun = time.monotonic()
        await client.wait_for_next_epoch()
        assert time.monotonic() - begun < 5
        active_from = await client.reveal_model(
            signer=rich,
            model_id=model_id,
            weights_url=url,
            encrypted_weights=encrypted,
            decryption_key=key,
            embedding=EMBEDDING,
        )
        again = await client.reveal_model(rich, model_id, url, encrypted, key, EMBEDDING)
        assert again == active_from
        assert await client.get_pending_models(rich) == []
        assert await client.fetch_model(model_id=model_id) == weights
        path = await client.fetch_model(model_id, tmp_path / "fetched.safetensors")
        assert path.read_bytes() == weights
        assert list(tmp_path.iterdir()) == [path]
        with pytest.raises(errors.FileProblem):
            await client.fetch_model(model_id, tmp_path / "no folder" / "fetched.safetensors")

    await client.set_model_commission_rate(rich, model_id, new_rate=500)
    await client.add_stake_to_model(rich, model_id, amount=10.0)
    assert await client.wait_for_next_epoch() == active_from
    model = await client.get_model(model_id)
    assert (model.status, model.owner, model.commission_rate) == ("active", rich.address(), 500)
    assert model.stake >= Decimal(20)
    assert model.committed_hash is None
    state = await client.get_latest_system_state()
    (listed,) = (entry for entry in state.model_registry if entry.id == model_id)
    assert len(listed.embedding) == DIM
    cosine = sum(a * b for a, b in zip(listed.embedding, EMBEDDING, strict=True))
    assert cosine / sum(b * b for b in EMBEDDING) ** 0.5 == pytest.approx(1, abs=1e-3)
    (manifest,) = await client.get_model_manifests(listed)
    assert manifest.hash == SomaClient.commitment(encrypted)

    # An update, which the node hosts.
    newer = random_weights(2)
    encrypted, key = SomaClient.encrypt_weights(newer)
    await beginning(client)
    await client.commit_model_update(
        signer=rich, model_id=model_id, weights_url=None, encrypted_weights=encrypted
    )
    await client.wait_for_next_epoch()
    await client.reveal_pending_model(rich, model_id, EMBEDDING)
    await client.wait_for_next_epoch()
    assert await client.fetch_model(model_id) == newer
    assert len(await client.get_models(owner=rich)) == 1

    await client.deactivate_model(rich, model_id)
    await client.wait_for_next_epoch()
    assert (await client.get_model(model_id)).status == "retired"
    newest, _ = SomaClient.encrypt_weights(newer)
    with pytest.raises(rejections.ModelRetired) as caught:
        await client.commit_model_update(rich, model_id, None, newest)
    assert caught.value.code == 302


async def test_a_commit_that_is_repeated_happens_once(client: SomaClient, rich: Keypair) -> None:
    encrypted, _ = SomaClient.encrypt_weights(random_weights(3))
    await beginning(client)
    first = await client.commit_model(rich, None, encrypted, 1000)
    balance = await client.get_balance(rich)
    assert await client.commit_model(rich, None, encrypted, 1000) == first
    assert await client.get_balance(rich) == balance
    other, _ = SomaClient.encrypt_weights(random_weights(3))
    with pytest.raises(rejections.AlreadyCommitted) as caught:
        await client.commit_model_update(rich, first, None, other)
    assert (caught.value.code, caught.value.name) == (304, "AlreadyCommitted")
    with pytest.raises(rejections.RevealTooEarly):
        await client.reveal_pending_model(rich, first, EMBEDDING)


async def test_weights_that_could_not_compete_are_not_committed(client: SomaClient, rich: Keypair) -> None:
    """Each of these would cost a tenth of the stake a day later, or give the weights away."""
    good, before = random_weights(81), await client.get_balance(rich)
    container, key = SomaClient.encrypt_weights(good)
    _, other = SomaClient.encrypt_weights(good)
    with pytest.raises(errors.BadContainer, match="encrypt the weights first"):
        await client.commit_model(rich, None, good)
    with pytest.raises(errors.BadContainer, match="truncated"):
        await client.commit_model(rich, None, container[:-1])
    with pytest.raises(errors.BadContainer, match="wrong decryption key"):
        await client.commit_model(rich, None, container, decryption_key=other)
    head, values = good[:-4], bytes.fromhex("0000c07f")
    for bad in (b"not weights", head + values, good[:-4]):
        sealed, _ = SomaClient.encrypt_weights(bad)
        with pytest.raises(errors.BadWeights):
            await client.commit_model(rich, None, sealed)
        with pytest.raises(errors.BadWeights):
            await client.commit_model_update(rich, "0x" + "11" * 32, "https://example.org/w.enc", sealed)
    assert await client.get_balance(rich) == before
    assert await client.get_models(owner=rich) == []
    assert await client.commit_model(rich, None, container, decryption_key=key)


async def test_what_is_committed_otherwise_is_not_taken_for_done(client: SomaClient, rich: Keypair) -> None:
    container, _ = SomaClient.encrypt_weights(random_weights(82))
    await beginning(client)
    model = await client.commit_model(rich, None, container, 1000)
    before = await client.get_balance(rich)
    with pytest.raises(
        errors.CommitMismatch, match=f"{model} has committed these encrypted weights, not 0x11"
    ):
        await client.commit_model_update(rich, "0x" + "11" * 32, None, container)
    with pytest.raises(errors.CommitMismatch, match=r"at soma:.*, not at https://example\.org"):
        await client.commit_model(rich, "https://example.org/w.enc", container, 1000)
    with pytest.raises(errors.CommitMismatch, match="1000 basis points, not 2500"):
        await client.commit_model(rich, None, container, 2500)
    assert await client.get_balance(rich) == before
    assert await client.commit_model(rich, None, container, 1000) == model
    assert await client.commit_model_update(rich, model, None, container) == model


async def test_two_commits_at_once_are_two_models(client: SomaClient, rich: Keypair) -> None:
    await beginning(client)
    containers = [SomaClient.encrypt_weights(random_weights(seed))[0] for seed in (4, 5, 6)]
    models = await asyncio.gather(*(client.commit_model(rich, None, each, 0) for each in containers))
    assert len(set(models)) == 3
    assert len(await client.get_models(owner=rich)) == 3


async def test_commits_that_are_cancelled_stake_once(client: SomaClient, rich: Keypair) -> None:
    """Whenever the await ends, the next call goes on where it was."""
    chance = random.Random(7)
    encrypted, _ = SomaClient.encrypt_weights(random_weights(7))
    cancelled = 0
    for _ in range(12):
        try:
            await asyncio.wait_for(
                client.commit_model(rich, None, encrypted, 700), chance.uniform(0.005, 0.12)
            )
        except (asyncio.TimeoutError, TimeoutError):  # noqa: PERF203
            cancelled += 1
    model_id = await client.commit_model(rich, None, encrypted, 700)
    assert cancelled > 3
    models = await client.get_models(owner=rich)
    assert [model.id for model in models] == [model_id]
    assert models[0].committed_hash == SomaClient.commitment(encrypted)


SCRIPT = """
import asyncio, os, sys
from soma_sdk import SomaClient, Keypair

async def run():
    keys = Keypair.from_secret_key(os.environ["SOMA_SECRET_KEY"])
    client = await SomaClient(chain="testnet")
    weights = open(sys.argv[1], "rb").read()
    encrypted, key = SomaClient.encrypt_weights(weights)
    print("begins", flush=True)
    print(await client.commit_model(keys, None, encrypted, 300), flush=True)

asyncio.run(run())
"""


async def test_a_script_that_is_killed_leaves_one_model(
    client: SomaClient, rich: Keypair, home: Path, tmp_path: Path
) -> None:
    """The whole script runs again, with another container of the same weights each time."""
    file = tmp_path / "weights.safetensors"
    file.write_bytes(random_weights(8))
    chance = random.Random(8)

    def run(kill_after: float | None) -> str:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", textwrap.dedent(SCRIPT), str(file)],
            stdout=subprocess.PIPE,
            text=True,
            env={
                "SOMA_SECRET_KEY": rich.to_secret_key(),
                "SOMA_HOME": str(home),
                "PYTHONPATH": ":".join(sys.path),
            },
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "begins\n"
        if kill_after is not None:
            time.sleep(kill_after)
            process.kill()
        output, _ = process.communicate(timeout=60)
        return output.strip()

    for _ in range(5):
        await asyncio.to_thread(run, chance.uniform(0.0, 0.25))
        models = await client.get_models(owner=rich)
        assert len(models) <= 1
        if models and models[0].committed_hash is not None:
            break
    else:
        await asyncio.to_thread(run, None)
    models = await client.get_models(owner=rich)
    assert len(models) == 1
    (pending,) = await client.get_pending_models(rich)
    assert pending.hash == models[0].committed_hash


async def test_a_reveal_is_compared_with_its_commit_first(client: SomaClient, rich: Keypair) -> None:
    weights = random_weights(9)
    encrypted, key = SomaClient.encrypt_weights(weights)
    other, other_key = SomaClient.encrypt_weights(weights)
    model_id = await client.commit_model(rich, "https://example.org/weights.enc", encrypted, 0)
    url = "https://example.org/weights.enc"
    before = await client.get_balance(rich)
    with pytest.raises(errors.CommitMismatch, match="container"):
        await client.reveal_model(rich, model_id, url, other, other_key, EMBEDDING)
    with pytest.raises(errors.CommitMismatch, match="address"):
        await client.reveal_model(rich, model_id, url + "2", encrypted, key, EMBEDDING)
    with pytest.raises(errors.BadContainer, match="wrong decryption key"):
        await client.reveal_model(rich, model_id, url, encrypted, other_key, EMBEDDING)
    with pytest.raises(errors.InvalidArgument, match="64 numbers, the network's models have 128"):
        await client.reveal_model(rich, model_id, url, encrypted, key, [1.0] * 64)
    for vector in ([0.0] * DIM, [float("nan")] * DIM, ["x"] * DIM, []):
        with pytest.raises(errors.InvalidArgument):
            await client.reveal_model(rich, model_id, url, encrypted, key, vector)  # type: ignore[arg-type]
    for bad in ("file:///weights", "ftp://example.org/w", "https://me:secret@example.org/w", "nonsense"):
        with pytest.raises(errors.InvalidArgument) as caught:
            await client.commit_model_update(rich, model_id, bad, encrypted)
        assert "secret" not in str(caught.value)
    assert await client.get_balance(rich) == before
    # Only the owner's.
    stranger = Keypair.generate()
    await client.request_faucet(stranger)
    with pytest.raises(rejections.NotOwner):
        await client.commit_model_update(stranger, model_id, None, other)
