"""Makes the calls that its input names, one a line, and tells how each ended: a test interrupts them.

A client for each call, in an event loop of its own, as a program has it.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from soma_sdk import DecryptionKey, Keypair, SomaClient, SomaError


async def call(name: str, url: str, arguments: dict[str, object]) -> object:
    """Make one call."""
    client = SomaClient(url)
    if name == "__await__":
        return await client
    if name == "__aenter__":
        async with client:
            return None
    result = await getattr(client, name)(**arguments)
    await client.close()
    return result


def values(folder: Path) -> dict[str, object]:
    """What is no JSON."""
    key = (folder / "key").read_text()
    return {
        "signer": Keypair.from_secret_key(os.environ["SOMA_SECRET_KEY"]),
        "encrypted_weights": (folder / "weights.enc").read_bytes(),
        "decryption_key": DecryptionKey.from_hex(key),
        "data": (folder / "document").read_bytes(),
    }


def main() -> None:
    """Make calls until the input ends."""
    known = values(Path(sys.argv[1]))
    for line in sys.stdin:
        name, url, given, wanted = json.loads(line)
        arguments = given | {key: known[key] for key in wanted}
        try:
            ended = ["returned", str(asyncio.run(call(name, url, arguments)))]
        except KeyboardInterrupt:
            ended = ["interrupted", ""]
        except SomaError as error:
            ended = ["refused", f"{type(error).__name__}: {error}"]
        except BaseException as error:  # noqa: BLE001 - told, and the test fails
            ended = ["raised", repr(error)]
        sys.stdout.write(json.dumps(ended) + "\n")
        sys.stdout.flush()


main()
