"""The notebooks run from top to bottom, one after the other, on the localnet, and keep their outputs.

`SOMA_UPDATE_DOCS=1 python/test -k notebooks` writes them anew with what they showed.
"""

import asyncio
import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hosts import ENGLISH, random_weights
from nbclient import NotebookClient

from soma_sdk import Keypair, SomaClient

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
# In this order: what is published first, hits targets then, and is seen at last.
NAMES = ["train_and_publish", "find_data_and_submit", "read_the_network"]
PLOTS = {"train_and_publish": 1, "find_data_and_submit": 1, "read_the_network": 3}


def read(name: str) -> Any:
    return nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)


def check(notebook: Any, name: str) -> None:
    """All code ran, in order, without an error, and the plots are there."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    images = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(images) == PLOTS[name]


def test_there_are_no_others() -> None:
    assert sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_kept(name: str) -> None:
    check(read(name), name)


async def publish_others(client: SomaClient) -> None:
    """Two models of other people, so that there is something to compare with."""
    keys = Keypair.generate()
    await client.request_faucet(keys, 100)
    for seed in (41, 42):
        weights = random_weights(seed)
        encrypted, key = SomaClient.encrypt_weights(weights)
        contest = await client.score([weights], ENGLISH[:1000])
        model = await client.commit_model(keys, None, encrypted, commission_rate=seed)
        await client.wait_for_next_epoch()
        await client.reveal_model(keys, model, None, encrypted, key, contest.winning.embedding)


async def run(name: str) -> Any:
    """Run a notebook from top to bottom; what it showed."""
    notebook = read(name)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    await NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=600,
        record_timing=False,
        resources={"metadata": {"path": str(NOTEBOOKS)}},
    ).async_execute()
    check(notebook, name)
    return notebook


# What the kernel's own libraries leave to the interpreter.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::UserWarning")
async def test_notebooks_run_from_top_to_bottom(
    client: SomaClient, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SOMA_HOME", str(home))
    monkeypatch.setenv("SOMA_NETWORK", "testnet")
    monkeypatch.setenv("SOMA_SECRET_KEY", Keypair.generate().to_secret_key())
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    keep = bool(os.environ.get("SOMA_UPDATE_DOCS"))
    others = asyncio.create_task(publish_others(client))
    for name in NAMES:
        if name == NAMES[1]:
            await others
        if name == NAMES[2] and keep:
            # Then there are earnings to be seen.
            await client.wait_for_epoch(await client.wait_for_epoch(0) + 3)
        notebook = await run(name)
        if keep:
            notebook.metadata.pop("language_info", None)
            nbformat.write(notebook, NOTEBOOKS / f"{name}.ipynb")
