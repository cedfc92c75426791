"""Calls that a type checker has to refuse. Nothing here runs; `test_types.py` reads it."""

import asyncio
from decimal import Decimal

from soma_sdk import Contest, DecryptionKey, Keypair, Model, Score, SomaClient, score, to_shannons, to_soma, verify


async def calls(client: SomaClient, keys: Keypair, key: DecryptionKey) -> None:
    SomaClient(7)  #: arg-type: incompatible type "int"
    SomaClient(node="http://127.0.0.1")  #: call-arg: Unexpected keyword argument "node"
    SomaClient(max_fee=b"1")  #: arg-type: incompatible type "bytes"
    await client.get_balance(7)  #: arg-type: expected "str | Keypair"
    await client.transfer_coin(keys.address(), keys, 1)  #: arg-type: expected "Keypair"
    await client.transfer_coin(keys, keys)  #: call-arg: Missing positional argument "amount"
    await client.transfer_coin(keys, keys, None)  #: arg-type: incompatible type "None"
    await client.pay_coins(keys, [keys], 1)  #: arg-type: expected "Sequence[int | float | str | Decimal | SupportsIndex]"
    await client.commit_model(keys, None, "weights")  #: arg-type: expected "bytes"
    await client.commit_model(keys, None, b"", 0.1)  #: arg-type: expected "int"
    await client.commit_model(keys, None, b"", 0, "0x12")  #: call-arg: Too many positional arguments
    await client.reveal_model(keys, "0x12", None, b"", "key", [])  #: arg-type: expected "DecryptionKey"
    await client.reveal_model(keys, "0x12", None, b"", key, ["x"])  #: list-item: expected "float"
    await client.submit_data(keys, 7, b"")  #: arg-type: incompatible type "int"
    await client.get_targets(limit="10")  #: arg-type: expected "int | None"
    await client.fetch_models("0x12")  #: attr-defined: has no attribute "fetch_models"
    weights: str = await client.fetch_model("0x12")  #: assignment: variable has type "str"
    path: bytes = await client.fetch_model("0x12", "model.safetensors")  #: assignment: expression has type "Path"
    found: Contest = await client.score("model", [b""])  #: assignment: expression has type "list[Contest | str]"
    balance: float = await client.get_balance(keys)  #: assignment: expression has type "Decimal"
    model: Model = client.get_model("0x12")  #: assignment: expression has type "Coroutine[Any, Any, Model]"
    async with client as same:
        same.url = "http://127.0.0.1"  #: misc: "url" defined in "SomaClient" is read-only
    print(weights, path, found, balance, model)


def functions(keys: Keypair, scored: Score) -> None:
    to_shannons(None)  #: arg-type: incompatible type "None"
    to_soma("1")  #: arg-type: expected "int"
    keys.sign("text")  #: arg-type: expected "bytes"
    verify(keys, b"", b"")  #: arg-type: expected "str"
    one: Contest = score("model", [b""])  #: assignment: expression has type "list[Contest | str]"
    scored.loss_nano = 7  #: misc: is read-only
    loss: int = scored.loss  #: assignment: expression has type "float"
    amount: Decimal = to_shannons(1)  #: assignment: expression has type "int"
    print(one, loss, amount)
    asyncio.run(SomaClient())  #: arg-type: expected "Coroutine[Any, Any, Never]"


class Mine(SomaClient):  #: misc: Cannot inherit from final class "SomaClient"
    """Nobody's."""
