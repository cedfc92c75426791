"""Which node a network's name means."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

from soma_sdk.errors import InvalidArgument

LOCAL_NAMES = ("local", "localnet")
FILE_NAME = "networks.json"


class Network(NamedTuple):
    """A node, and the network that it has to be on."""

    url: str
    chain_id: str | None


def home_folder(home: str | os.PathLike[str] | None) -> Path:
    """Return the folder of wallets, journal and networks: given, `SOMA_HOME`, or `~/.soma`."""
    return Path(home or os.environ.get("SOMA_HOME") or Path.home() / ".soma")


def resolve(chain: str | None, home: Path) -> Network:
    """Return the node of a network: a URL, or a name that `networks.json` in `home` knows.

    The file is one object: `{"testnet": "https://.."}`, or with the network's id, which is then
    insisted on, `{"testnet": {"url": "https://..", "chain_id": "0x.."}}`. `local` and `localnet` mean
    a localnet on this machine unless the file says otherwise. Without a name, `SOMA_NETWORK` or that
    localnet.
    """
    name = (chain or os.environ.get("SOMA_NETWORK") or LOCAL_NAMES[0]).strip()
    if "://" in name:
        return Network(name, None)
    file = home / FILE_NAME
    known = _read(file)
    if name in known:
        return known[name]
    if name in LOCAL_NAMES:
        return Network("local", None)
    raise InvalidArgument(
        f'no network is called {name!r} here: give the URL of a node, or write {{"{name}": "URL"}} '
        f"into {file}",
    )


def _read(file: Path) -> dict[str, Network]:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InvalidArgument(f"{file} cannot be read: {error}") from error
    try:
        entries = json.loads(text)
        return {name: _network(entry) for name, entry in entries.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidArgument(
            f'{file} is no list of networks, such as {{"testnet": "https://.."}}: {error!r}',
        ) from error


def _network(entry: object) -> Network:
    if isinstance(entry, str):
        return Network(entry, None)
    if isinstance(entry, dict):
        chain_id = entry.get("chain_id")
        return Network(str(entry["url"]), None if chain_id is None else str(chain_id))
    raise TypeError(entry)
