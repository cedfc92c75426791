"""What is read from a real network, and money."""

import asyncio
from decimal import Decimal

import pytest

from soma_sdk import Keypair, SomaClient, errors, rejections


async def test_the_state_of_the_network_is_typed(client: SomaClient) -> None:
    state = await client.get_latest_system_state()
    assert state.epoch >= 0
    assert state.height > 0
    assert state.validators == 4
    assert state.chain_id == client.chain_id
    dim = await client.get_embedding_dim()
    assert all(len(model.embedding) == dim for model in state.model_registry)
    assert (await client.get_parameters())["preset"] == "local"


async def test_a_payment_arrives_to_the_shannon(client: SomaClient, rich: Keypair) -> None:
    other = Keypair.generate()
    before = await client.get_balance(rich)
    receipt = await client.transfer_coin(rich, other, "12.000000001")
    assert await client.get_balance(other) == Decimal("12.000000001")
    price = before - await client.get_balance(rich) - receipt.fee - Decimal("12.000000001")
    # Who is new costs the price of an account.
    assert price == SomaClient.to_soma(int((await client.get_parameters())["account_price"]))
    receipt = await client.pay_coins(rich, [other, other.address()], [1, 0.5])
    assert await client.get_balance(other) == Decimal("13.500000001")


async def test_what_would_fail_is_not_sent_and_costs_nothing(client: SomaClient, rich: Keypair) -> None:
    before = await client.get_balance(rich)
    with pytest.raises(rejections.InsufficientBalance) as caught:
        await client.transfer_coin(rich, Keypair.generate(), 9_000_000)
    assert (caught.value.code, caught.value.name) == (200, "InsufficientBalance")
    assert await client.get_balance(rich) == before


@pytest.mark.parametrize("amount", [1e-10, -1, True, float("nan"), float("inf"), "1e-10", "ten", 1e8, None])
async def test_amounts_that_are_none_are_refused(client: SomaClient, rich: Keypair, amount: object) -> None:
    with pytest.raises(errors.InvalidArgument):
        await client.transfer_coin(rich, rich, amount)  # type: ignore[arg-type]


async def test_stake_is_added_and_withdrawn(client: SomaClient, rich: Keypair) -> None:
    validator = await client._ask(client._native.validators())
    address = validator[0]["validator"]["address"]
    await client.add_stake(rich, address, 10.0)
    account = await client.get_account(rich)
    assert account.stakes == {f"validator:{address}": Decimal(10)}
    await client.withdraw_stake(rich, f"validator:{address}")
    assert (await client.get_account(rich)).stakes.get(f"validator:{address}", Decimal(0)) == 0


async def test_things_that_are_not_there_are_not_found(client: SomaClient) -> None:
    nothing = "0x" + "00" * 32
    for call in (client.get_model, client.get_target, client.fetch_model, client.fetch_submission_data):
        with pytest.raises(errors.NotFound):
            await call(nothing)
    with pytest.raises(errors.InvalidArgument, match="hex"):
        await client.get_model("0x12")
    with pytest.raises(errors.InvalidArgument, match="open, settling, filled"):
        await client.get_targets(status="closed")


async def test_targets_come_latest_first(client: SomaClient) -> None:
    targets = await client.get_targets(limit=5)
    assert len(targets) <= 5
    filled = await client.get_targets(status="filled", limit=50)
    assert all(target.status == "filled" for target in filled)
    assert await client.get_targets(limit=0) == []


async def test_the_next_epoch_comes(client: SomaClient) -> None:
    epoch = (await client.get_latest_system_state()).epoch
    with pytest.raises(errors.WaitTimedOut):
        await client.wait_for_epoch(epoch + 1000, timeout=0.1)
    assert await client.wait_for_epoch(epoch) >= epoch
    assert await asyncio.wait_for(client.wait_for_next_epoch(), 60) == epoch + 1
