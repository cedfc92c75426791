"""A model's loop is killed wherever it can be, started twice, too early and too late.

Epochs take their time, so the scenarios on the network run side by side, each with a key of its own;
each test waits for its own.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hosts import NANO, hosting, random_weights
from localnet import Localnet

from soma_sdk import Keypair, Model, SomaClient, errors
from soma_sdk.auto_update import Round, Trained, auto_update, journal

EMBEDDING = [float(index % 7) - 3.0 for index in range(NANO.embedding_dim)]
STAGES = ("training", "trained", "sealed", "stored", "committed", "idle")

# Trains in no time, and may be killed before or after it writes a stage into its journal.
PROGRAM = """
import asyncio, logging, os, signal, sys
from pathlib import Path
from soma_sdk import Keypair, SomaClient
from soma_sdk.auto_update import Trained, auto_update, journal

weights, wait, kill = Path(sys.argv[1]), sys.argv[2] == "wait", sys.argv[3]
save = journal.save

def saves(folder, entries):
    if kill == f"before {entries.stage}":
        os.kill(os.getpid(), signal.SIGKILL)
    save(folder, entries)
    if kill == f"after {entries.stage}":
        os.kill(os.getpid(), signal.SIGKILL)

journal.save = saves
logging.basicConfig(level=logging.INFO, format="%(message)s")

def train(round):
    round.weights.write_bytes(weights.read_bytes())
    return Trained(weights=round.weights, embedding=[float(i % 7) - 3.0 for i in range(128)])

async def main():
    keys = Keypair.from_secret_key(os.environ["SOMA_SECRET_KEY"])
    async with SomaClient(chain="testnet") as client:
        print(await auto_update(client, keys, train, folder="model", commission_rate=300, wait=wait))

asyncio.run(main())
"""


class Scene:
    """A participant with a key, a folder and weights, and what they find out about the network."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.home, self.folder = home, folder
        folder.mkdir()
        (folder / "weights").write_bytes(random_weights(len(folder.name)))
        self.keys = Keypair.generate()
        self.ask(lambda client: client.request_faucet(self.keys, 500))

    def ask(self, question: Callable[[SomaClient], Awaitable[Any]]) -> Any:
        async def answer() -> Any:
            async with SomaClient(chain="testnet", home=self.home) as client:
                return await question(client)

        return asyncio.run(answer())

    @property
    def env(self) -> dict[str, str]:
        return {
            "SOMA_SECRET_KEY": self.keys.to_secret_key(),
            "SOMA_HOME": str(self.home),
            "SOMA_NETWORK": "testnet",
            "PYTHONPATH": ":".join(sys.path),
            "PATH": os.environ["PATH"],
        }

    def start(self, wait: str = "wait", kill: str = "") -> subprocess.CompletedProcess[str]:
        """Run the program, which is killed where that is said."""
        command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(PROGRAM)]
        done = subprocess.run(
            [*command, str(self.folder / "weights"), wait, kill],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == (-signal.SIGKILL if kill else 0), done.stdout + done.stderr
        return done

    def journal(self) -> journal.Journal:
        found = journal.load(self.folder / "model")
        assert found is not None
        return found

    def model(self) -> Model:
        (model,) = self.ask(lambda client: client.get_models(owner=self.keys))
        return model

    def paid_once(self, lapses: int) -> None:
        """One model, its least stake, and nothing else but fees, rent, and what lapses cost."""
        account = self.ask(lambda client: client.get_account(self.keys))
        (stake,) = account.stakes.values()
        assert 10 <= stake < 11
        lost = lapses * Decimal("0.55")
        assert Decimal(500) - account.balance - stake < Decimal(1) + lost

    def trained(self, _: Round) -> Trained:
        return Trained(weights=self.folder / "weights", embedding=EMBEDDING)

    def reach(self, epoch: int) -> None:
        self.ask(lambda client: client.wait_for_epoch(epoch))


def killed_at_every_step(scene: Scene) -> None:
    for stage in STAGES:
        scene.start(kill=f"before {stage}")
        scene.start(kill=f"after {stage}")
        if stage == "sealed":
            sealed = (scene.folder / "model/round-1.enc").read_bytes()
    entries = scene.journal()
    assert (entries.stage, entries.round, entries.key) == ("idle", 1, None)
    model = scene.model()
    assert model.manifest is not None
    assert model.manifest.hash == SomaClient.commitment(sealed), "encrypted once"
    assert entries.model_id == model.id
    scene.paid_once(entries.lapses)
    scene.reach(model.manifest.active_from)
    assert scene.ask(lambda client: client.fetch_model(model)) == (scene.folder / "weights").read_bytes()
    # The next start begins the next round, and brings other weights.
    (scene.folder / "weights").write_bytes(random_weights(77))
    told = scene.start().stdout
    assert "round=2, revealed=True" in told
    assert scene.model().id == model.id
    assert not list((scene.folder / "model").glob("*.enc"))
    left = [path.name for path in (scene.folder / "model").glob("*.safetensors")]
    assert left == ["round-2.safetensors"]
    scene.paid_once(entries.lapses + scene.journal().lapses)


def a_lapse(scene: Scene) -> None:
    told = scene.start("no wait").stdout
    assert "revealed=False" in told
    committed = scene.model()
    assert committed.committed_epoch is not None
    sealed = committed.committed_hash
    # Whoever comes back only after the reveal's epoch has lost the commit, and a part of the stake.
    scene.reach(committed.committed_epoch + 2)
    lapsed = scene.model()
    assert lapsed.committed_hash is None
    assert lapsed.stake < 10
    # It is made again, also where the start that does so is killed over it.
    done = scene.start(kill="before committed")
    assert "its commit lapsed" in done.stderr
    assert "adding the 0.5" in done.stderr
    assert "adding" not in scene.start().stderr
    model = scene.model()
    assert (model.id, model.manifest and model.manifest.hash) == (committed.id, sealed)
    assert scene.journal().round == 1
    scene.paid_once(1)


def many_starts(scene: Scene) -> None:
    """Started four times an epoch, as every six hours of a day."""
    first = scene.start("no wait").stdout
    assert "round=1, revealed=False" in first
    due = scene.journal()
    for _ in range(2):
        # The same again, or the reveal and the next round where an epoch ended meanwhile.
        told = scene.start("no wait").stdout
        assert told == first or "round=2, revealed=False" in told
    if scene.journal().round == 1:
        assert scene.journal() == due
        committed = scene.model().committed_epoch
        assert committed is not None
        scene.reach(committed + 1)
        told = scene.start("no wait").stdout
        assert "round=2, revealed=False" in told
    model = scene.model()
    assert model.manifest is not None
    assert model.manifest.hash == due.hash
    assert model.committed_hash == scene.journal().hash != due.hash
    scene.paid_once(scene.journal().lapses)


COMMAND = """
import json, os, time
open("trains", "w").close()
while not os.path.exists("go"):
    time.sleep(0.02)
assert "SOMA_SECRET_KEY" not in os.environ
open(os.environ["SOMA_WEIGHTS"], "wb").write(open("weights", "rb").read())
json.dump([1.0] * 128, open(os.environ["SOMA_EMBEDDING"], "w"))
"""


def two_at_once(scene: Scene) -> None:
    """A second start does nothing, even where the first is killed and what it started still trains."""
    command = [sys.executable, "-W", "ignore", "-m", "soma_sdk.auto_update", "--folder", "model"]
    command += ["--no-wait", "--", sys.executable, "-c", COMMAND]

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            cwd=scene.folder,
            env=scene.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    first = start()
    until((scene.folder / "trains").exists)
    second = start()
    told, _ = second.communicate(timeout=60)
    assert (second.returncode, told) == (
        0,
        f"nothing done: process {first.pid} is at work in {scene.folder / 'model'}\n",
    )
    first.kill()
    first.wait()
    assert first.stdout is not None
    first.stdout.close()
    told, _ = start().communicate(timeout=60)
    assert "nothing done" in told
    (scene.folder / "go").touch()

    def goes_on() -> bool:
        done = start()
        told, _ = done.communicate(timeout=60)
        assert done.returncode == 0, told
        return "nothing done" not in told

    until(goes_on)
    assert scene.model().committed_hash == scene.journal().hash
    assert scene.journal().round == 1
    scene.paid_once(0)


async def a_failing_training(scene: Scene, client: SomaClient) -> None:
    rich, tmp_path, trained = scene.keys, scene.folder, scene.trained
    numbers = []

    def fails(round_: Round) -> Trained:
        numbers.append(round_.number)
        raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            await auto_update(client, rich, fails, folder=tmp_path / "model", wait=False)
    assert numbers == [1, 1]
    with hosting() as host:

        async def upload(file: Path) -> str:
            await asyncio.sleep(0)
            return host.put("weights.enc", file.read_bytes())

        folder = tmp_path / "model"
        outcome = await auto_update(client, rich, trained, folder=folder, wait=False, upload=upload)
        assert (outcome.round, outcome.revealed) == (1, False)
        entries = journal.load(folder)
        assert entries is not None
        assert entries.url == host.put("weights.enc", host.files["/weights.enc"])
        # The key of committed weights is for nobody else's eyes.
        assert (folder / "journal.json").stat().st_mode & 0o077 == 0
        # Gone with its container: the key is in the wallets' folder too.
        (folder / "round-1.enc").unlink()
        outcome = await auto_update(client, rich, trained, folder=folder)
        assert (outcome.round, outcome.revealed) == (1, True)


async def a_folder_of_one_model(scene: Scene, client: SomaClient) -> None:
    rich, tmp_path, trained = scene.keys, scene.folder, scene.trained
    folder = tmp_path / "model"
    outcome = await auto_update(client, rich, trained, folder=folder, wait=False)
    with pytest.raises(errors.InvalidArgument, match="is about a model of"):
        await auto_update(client, Keypair.generate(), trained, folder=folder)
    with pytest.raises(errors.InvalidArgument, match="is about the model"):
        await auto_update(client, rich, trained, folder=folder, model_id="0x" + "00" * 32)
    # Another folder would make another model: that is asked for by naming it.
    with pytest.raises(errors.InvalidArgument, match=f"owns one already .{outcome.model_id}"):
        await auto_update(client, rich, trained, folder=tmp_path / "other")
    file = folder / "journal.json"
    written = json.loads(file.read_text())
    for damage in (
        b"",
        b"{",
        b"[]",
        b'{"version": 2}',
        json.dumps(written | {"stage": "done"}).encode(),
        json.dumps(written | {"round": "1"}).encode(),
        json.dumps(written | {"more": 1}).encode(),
        b"\xff",
    ):
        file.write_bytes(damage)
        with pytest.raises(errors.FileProblem, match="damaged"):
            await auto_update(client, rich, trained, folder=folder)
    file.write_text(json.dumps(written | {"chain_id": "0x" + "11" * 32}))
    with pytest.raises(errors.OtherChain):
        await auto_update(client, rich, trained, folder=folder)
    with pytest.raises(errors.FileProblem):
        await auto_update(client, rich, trained, folder=file)
    # Named, the model goes on in another folder: its commit waits, and is not the new folder's.
    with pytest.raises(errors.SomaError) as caught:
        await auto_update(client, rich, trained, folder=tmp_path / "other", model_id=outcome.model_id)
    assert caught.value.name == "AlreadyCommitted"
    await client.deactivate_model(rich, outcome.model_id)
    file.write_text(json.dumps(written))
    with pytest.raises(errors.InvalidArgument, match="retired for good"):
        await auto_update(client, rich, trained, folder=folder)
    # Nothing is due any more, so the next epoch is the one after this.
    begun = await client.wait_for_epoch(0)
    assert await client.wait_for_next_epoch() > begun
    with pytest.raises(errors.InvalidArgument, match="retired for good"):
        await auto_update(client, rich, trained, folder=folder)


def until(happens: Callable[[], bool]) -> None:
    begun = time.monotonic()
    while not happens():
        assert time.monotonic() - begun < 60
        time.sleep(0.05)


def together(scenario: Callable[[Scene, SomaClient], Awaitable[None]]) -> Callable[[Scene], None]:
    """A scenario in this process."""

    def act(scene: Scene) -> None:
        scene.ask(lambda client: scenario(scene, client))

    act.__name__ = scenario.__name__
    return act


SCENARIOS = (
    killed_at_every_step,
    a_lapse,
    many_starts,
    two_at_once,
    together(a_failing_training),
    together(a_folder_of_one_model),
)


@pytest.fixture(scope="module")
def scenarios(
    localnet: Localnet, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, "Future[None]"]]:
    assert localnet.serves()
    folder = tmp_path_factory.mktemp("scenes")
    with ThreadPoolExecutor(len(SCENARIOS)) as pool:
        yield {
            scenario.__name__: pool.submit(lambda act: act(Scene(home, folder / act.__name__)), scenario)
            for scenario in SCENARIOS
        }


def test_training_that_fails_leaves_the_round_to_the_next_start(
    scenarios: dict[str, "Future[None]"],
) -> None:
    scenarios["a_failing_training"].result()


def test_a_folder_is_one_models(scenarios: dict[str, "Future[None]"]) -> None:
    scenarios["a_folder_of_one_model"].result()


def test_two_starts_at_once_are_one(scenarios: dict[str, "Future[None]"]) -> None:
    scenarios["two_at_once"].result()


def test_a_start_does_what_is_due(scenarios: dict[str, "Future[None]"]) -> None:
    scenarios["many_starts"].result()


def test_killed_at_every_step_it_reveals_one_model(scenarios: dict[str, "Future[None]"]) -> None:
    scenarios["killed_at_every_step"].result()


def test_a_lapsed_commit_is_begun_anew(scenarios: dict[str, "Future[None]"]) -> None:
    scenarios["a_lapse"].result()


async def test_what_cannot_compete_costs_nothing(client: SomaClient, rich: Keypair, tmp_path: Path) -> None:
    good, other = tmp_path / "good", tmp_path / "other"
    good.write_bytes(random_weights(31))
    other.write_bytes(random_weights(31, NANO.replace(layers=2)))
    before = await client.get_balance(rich)
    for weights, embedding, says in (
        (other, EMBEDDING, r"encoder\.layers\.2"),
        (tmp_path / "none", EMBEDDING, "none"),
        (good, EMBEDDING[1:], "127 numbers, the network's models have 128"),
        (good, [0.0] * 128, "direction"),
        (good, [float("nan")] * 128, "direction"),
        (good, ["x"] * 128, "list of numbers"),
    ):
        with pytest.raises(errors.SomaError, match=says):
            await auto_update(
                client,
                rich,
                lambda _, weights=weights, embedding=embedding: Trained(weights=weights, embedding=embedding),
                folder=tmp_path / "model",
                wait=False,
            )
    assert await client.get_balance(rich) == before
    assert await client.get_models(owner=rich) == []


def test_a_lock_ends_with_its_block_whoever_has_a_copy(tmp_path: Path) -> None:
    with journal.locked(tmp_path) as lock:
        copy = os.dup(lock)
        with pytest.raises(errors.AlreadyRunning, match=f"process {os.getpid()} is at work"):
            journal.locked(tmp_path).__enter__()
    with journal.locked(tmp_path):
        os.close(copy)


def test_a_file_that_does_not_fit_leaves_the_one_before(tmp_path: Path) -> None:
    program = """
import resource, sys
from pathlib import Path
from soma_sdk._files import write_whole
from soma_sdk.errors import FileProblem
write_whole(Path("journal"), b"before")
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_whole(Path("journal"), bytes(5000))
except FileProblem as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "journal cannot be written" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["journal"]
    assert (tmp_path / "journal").read_bytes() == b"before"


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["false"], "false ended with exit code 1"),
        (["/nonexistent"], "/nonexistent cannot be run"),
        (["true"], "true left no embedding"),
        (["sh", "-c", 'echo 1 > "$SOMA_EMBEDDING"'], "is no list of numbers"),
    ],
)
def test_commands_that_fail(home: Path, rich: Keypair, tmp_path: Path, command: list[str], says: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "soma_sdk.auto_update", "--folder", "model", "--", *command],
        cwd=tmp_path,
        env={
            "SOMA_SECRET_KEY": rich.to_secret_key(),
            "SOMA_HOME": str(home),
            "SOMA_NETWORK": "testnet",
            "PYTHONPATH": ":".join(sys.path),
            "PATH": os.environ["PATH"],
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_without_a_key_nothing_begins(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "soma_sdk.auto_update", "--folder", "model", "true"]
    env = {"PYTHONPATH": ":".join(sys.path), "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: SOMA_SECRET_KEY holds no key: put there what `soma wallet export` prints\n"
    assert list(tmp_path.iterdir()) == []
