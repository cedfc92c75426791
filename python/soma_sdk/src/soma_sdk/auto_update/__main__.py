"""`python -m soma_sdk.auto_update`: the loop with a program that trains."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import shlex
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from soma_sdk._soma_sdk import Keypair
from soma_sdk.auto_update import Round, Trained, auto_update
from soma_sdk.client import SomaClient
from soma_sdk.errors import AlreadyRunning, InvalidArgument, SomaError, TrainingFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

log = logging.getLogger("soma_sdk.auto_update")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m soma_sdk.auto_update",
        description="Train, commit, reveal: what is due of it. The key is in SOMA_SECRET_KEY.",
        epilog="COMMAND trains. It finds in its environment SOMA_WEIGHTS and SOMA_EMBEDDING, where it "
        "leaves the weights (safetensors) and where to register them (a JSON list of numbers), SOMA_ROUND, "
        "from the second round on SOMA_LAST_WEIGHTS and SOMA_LAST_EMBEDDING, and SOMA_WINS and SOMA_DAYS "
        "since the model was registered where it is.",
    )
    add = parser.add_argument
    add("--folder", type=Path, required=True, metavar="DIR", help="where progress is kept")
    add("--chain", help="a node's URL, or a network's name (SOMA_NETWORK, else the localnet)")
    add("--model", metavar="ID", help="a model that exists, instead of one that is created")
    add("--commission", type=int, default=0, metavar="POINTS", help="of a new model: 1000 are 10%%")
    add("--no-wait", action="store_true", help="do not wait for the epoch of a reveal: come again for it")
    add("--upload", metavar="COMMAND", help="stores the file that is added to it, and prints its URL")
    add("command", nargs="+", metavar="COMMAND")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code: 0 also where nothing is due or another is at it."""
    given = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        asyncio.run(_main(given))
    except AlreadyRunning as error:
        log.info("nothing done: %s", error)
    except SomaError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


async def _main(given: argparse.Namespace) -> None:
    secret = os.environ.get("SOMA_SECRET_KEY")
    if not secret:
        raise InvalidArgument("SOMA_SECRET_KEY holds no key: put there what `soma wallet export` prints")
    signer = Keypair.from_secret_key(secret)
    async with SomaClient(chain=given.chain) as client:
        await auto_update(
            client,
            signer,
            lambda round_: _by_command(given.command, round_),
            folder=given.folder,
            model_id=given.model,
            commission_rate=given.commission,
            upload=None if given.upload is None else lambda file: _by_upload(given.upload, file),
            wait=not given.no_wait,
        )


async def _by_command(command: Sequence[str], round_: Round) -> Trained:
    place = round_.weights.with_suffix(".json")
    known = {
        "SOMA_ROUND": round_.number,
        "SOMA_WEIGHTS": round_.weights,
        "SOMA_EMBEDDING": place,
        "SOMA_LAST_WEIGHTS": round_.last_weights,
        "SOMA_LAST_EMBEDDING": None if round_.last_embedding is None else json.dumps(round_.last_embedding),
        "SOMA_WINS": round_.wins,
        "SOMA_DAYS": round_.since / timedelta(days=1),
    }
    env = os.environ | {name: str(value) for name, value in known.items() if value is not None}
    # What trains has no use for the key of the account.
    env.pop("SOMA_SECRET_KEY", None)
    await _run(command, env=env, lock=round_.lock)
    try:
        embedding = json.loads(place.read_text(encoding="utf-8"))
        place.unlink()
    except (OSError, ValueError) as error:
        raise TrainingFailed(f"{command[0]} left no embedding in {place}: {error}") from error
    if not isinstance(embedding, list):
        raise TrainingFailed(f"{place} is no list of numbers")
    return Trained(weights=round_.weights, embedding=embedding)


async def _by_upload(command: str, file: Path) -> str:
    words = [*shlex.split(command), str(file)]
    told = (await _run(words, stdout=asyncio.subprocess.PIPE)).decode("utf-8", "replace").split()
    if not told:
        raise TrainingFailed(f"{words[0]} printed no URL")
    return told[-1]


async def _run(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    lock: int | None = None,
    stdout: int | None = None,
) -> bytes:
    """Run a command to its end; what it printed, where that is asked for."""
    inherited = () if lock is None else (lock,)
    try:
        process = await asyncio.create_subprocess_exec(*command, env=env, pass_fds=inherited, stdout=stdout)
    except OSError as error:
        raise TrainingFailed(f"{command[0]} cannot be run: {error}") from error
    try:
        told, _ = await process.communicate()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    if process.returncode != 0:
        raise TrainingFailed(f"{command[0]} ended with exit code {process.returncode}")
    return told or b""


if __name__ == "__main__":
    sys.exit(main())
