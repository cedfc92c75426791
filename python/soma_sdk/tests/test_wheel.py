"""What the wheel brings: the `soma` binary of its own, on the path wherever it is installed."""

import importlib.metadata
import json
import os
import subprocess
import zipfile
from pathlib import Path

import pytest
from hosts import ENGLISH, random_weights
from localnet import Localnet, binary

import soma_sdk
from soma_sdk import Keypair, SomaClient, score


def installed() -> Path:
    """The binary that was installed with the package."""
    files = importlib.metadata.files("soma-sdk") or []
    places = [Path(str(file.locate())) for file in files if file.parts[-2:] == ("bin", "soma")]
    # `pip install --target` puts scripts beside the packages, and writes that they are elsewhere.
    places.append(Path(soma_sdk.__file__).parents[1] / "bin/soma")
    found = next((place.resolve() for place in places if place.exists()), None)
    if found is None:
        pytest.skip("this soma_sdk was not installed from its wheel")
    return found


def run(*arguments: str, home: Path) -> str:
    """Run it; what it prints."""
    done = subprocess.run(
        [str(installed()), *arguments, "--home", str(home)],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
    )
    return done.stdout


def test_the_wheel_brings_the_binary() -> None:
    path = installed()
    assert os.access(path, os.X_OK)
    assert path.read_bytes()[:4] == b"\x7fELF"
    told = subprocess.run([str(path), "--version"], check=True, capture_output=True, text=True)
    assert told.stdout.startswith("soma ")
    assert path.samefile(binary()), "the tests run the binary that ships"


def test_the_package_says_its_version() -> None:
    assert soma_sdk.__version__ == importlib.metadata.version("soma-sdk")


async def test_the_binary_of_the_wheel_talks_to_the_network(
    localnet: Localnet, client: SomaClient, rich: Keypair, home: Path
) -> None:
    encrypted, _ = SomaClient.encrypt_weights(random_weights(72))
    model = await client.commit_model(rich, None, encrypted, 0)
    told = run("model", "list", "--network", localnet.url, "--json", home=home)
    assert model in told


def test_the_binary_and_the_package_score_alike(tmp_path: Path) -> None:
    weights, document = tmp_path / "model.safetensors", tmp_path / "document.txt"
    weights.write_bytes(random_weights(60))
    document.write_bytes(ENGLISH[:2000])
    arguments = ["score", "--arch", "nano", "--weights", str(weights), "--data", str(document), "--json"]
    told = json.loads(run(*arguments, home=tmp_path))
    assert told["transcript"] == score(weights, ENGLISH[:2000], architecture="nano").transcript


def test_a_wheel_names_what_is_in_it() -> None:
    """`python/test` names the wheel that it built."""
    if not (path := os.environ.get("SOMA_WHEEL")):
        pytest.skip("SOMA_WHEEL names no wheel")
    with zipfile.ZipFile(path) as wheel:
        names = {info.filename: info for info in wheel.infolist()}
    scripts = [name for name in names if ".data/scripts/" in name]
    assert [Path(name).name for name in scripts] == ["soma"]
    assert names[scripts[0]].external_attr >> 16 & 0o111 == 0o111
    tag = Path(path).name.split("-", 2)[2]
    assert tag.startswith(("cp310-abi3-", "cp314-cp314t-")), tag
    assert any(name.endswith("py.typed") for name in names)
    assert any(name.endswith("_soma_sdk.pyi") for name in names)
