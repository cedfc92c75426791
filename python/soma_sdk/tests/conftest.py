"""What the tests share: a localnet that pytest starts, its wallets' folder, accounts with money."""

import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from localnet import Localnet, shared

from soma_sdk import Keypair, SomaClient


@pytest.fixture(scope="session")
def localnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Localnet]:
    """A localnet for all tests, those of pytest's other workers too."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder /= "localnet"
    folder.mkdir(exist_ok=True)
    with shared(folder) as network:
        yield network


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory, localnet: Localnet) -> Path:
    """The folder of wallets and journal, which knows the localnet as `testnet`."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "networks.json").write_text(json.dumps({"testnet": localnet.url, "localnet": localnet.url}))
    return folder


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """No test touches the wallets of whoever runs it."""
    if "home" in request.fixturenames:
        monkeypatch.setenv("SOMA_HOME", str(request.getfixturevalue("home")))
    else:
        monkeypatch.setenv("SOMA_HOME", "/nonexistent")
    monkeypatch.delenv("SOMA_NETWORK", raising=False)


@pytest_asyncio.fixture
async def client(home: Path) -> AsyncIterator[SomaClient]:
    """A client of the localnet."""
    async with SomaClient(chain="testnet", home=home) as connected:
        yield connected


@pytest_asyncio.fixture
async def rich(client: SomaClient) -> Keypair:
    """A key with money."""
    keys = Keypair.generate()
    await client.request_faucet(keys, 500)
    return keys
