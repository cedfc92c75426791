"""Scores in process: those of `soma score`, to the last digit."""

import asyncio
import json
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hosts import random_weights
from localnet import binary

from soma_sdk import Keypair, SomaClient, errors, score

TEXT = (Path(__file__).parents[3] / "data/english/persuasion-1.txt").read_bytes()[10_000:13_000]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{seed}.safetensors" for seed in (1, 2)]
    for seed, path in enumerate(paths, 1):
        path.write_bytes(random_weights(seed))
    return paths


def test_scores_are_those_of_the_command_line(files: list[Path], tmp_path: Path) -> None:
    document = tmp_path / "document.txt"
    document.write_bytes(TEXT)
    command = [binary(), "score", "--arch", "nano", "--data", str(document), "--json"]
    command += ["--weights", ",".join(map(str, files))]
    told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    found = score(files, TEXT, architecture="nano")
    assert (found.winner, found.transcript) == (told["winner"], told["transcript"])
    for mine, theirs in zip(found.scores, told["models"], strict=True):
        assert mine is not None
        for name in ("loss_nano", "cross_entropy_nano", "sigreg_nano", "predicted_tokens"):
            assert getattr(mine, name) == theirs[name]
        assert list(mine.embedding_q15) == theirs["embedding_q15"]
        assert mine.embedding == [float(np.float32(number)) for number in theirs["mean_embedding"]]
        # Buffers, without a copy.
        assert np.asarray(mine.embedding_q15).dtype == np.int16
        assert np.asarray(memoryview(mine.mean_embedding)).dtype == np.float32


def test_data_and_weights_come_in_many_forms(files: list[Path]) -> None:
    weights = files[0].read_bytes()
    expected = score(files[0], TEXT, architecture="nano")
    for given in (
        str(files[0]),
        weights,
        bytearray(weights),
        memoryview(weights),
        np.frombuffer(weights, np.uint8),
    ):
        assert score([given], TEXT, architecture="nano") == expected
    for data in (bytearray(TEXT), memoryview(TEXT), np.frombuffer(TEXT, np.uint8)):
        assert score(weights, data, architecture="nano", threads=1) == expected
    many = score(weights, [TEXT, TEXT[:100]], architecture="nano")
    assert many[0] == expected
    sizes = {"embedding_dim": 128, "heads": 4, "layers": 4, "ffn_dim": 512, "max_seq_len": 256}
    with pytest.raises(errors.InvalidArgument, match="rope_wavelength"):
        score(weights, TEXT, architecture=sizes)
    own = expected.winning.embedding_q15
    similar = [
        score(weights, TEXT, architecture="nano", target_embedding=target).similarity_q30
        for target in (own, own.tolist(), np.asarray(own))
    ]
    assert similar == [sum(number * number for number in own)] * 3


def test_what_cannot_be_scored_is_said(files: list[Path], tmp_path: Path) -> None:
    weights = files[0].read_bytes()
    with pytest.raises(errors.BadWeights):
        score(weights, TEXT, architecture="v1")
    with pytest.raises(errors.BadWeights):
        score(weights[:-1], TEXT, architecture="nano")
    poisoned = bytearray(weights)
    poisoned[-4:] = np.float32("nan").tobytes()
    with pytest.raises(errors.BadWeights, match="finite"):
        score(bytes(poisoned), TEXT, architecture="nano")
    with pytest.raises(errors.FileProblem):
        score(tmp_path / "missing", TEXT, architecture="nano")
    with pytest.raises(errors.ScoreFailed, match="empty"):
        score(weights, b"", architecture="nano")
    with pytest.raises(errors.ScoreFailed):
        score([], TEXT, architecture="nano")
    with pytest.raises(errors.InvalidArgument, match="encode"):
        score(weights, "text", architecture="nano")  # type: ignore[call-overload]
    with pytest.raises(errors.InvalidArgument, match="seed"):
        score(weights, TEXT, architecture="nano", seed="7")
    with pytest.raises(errors.InvalidArgument, match="threads"):
        score(weights, TEXT, architecture="nano", threads=0)
    for target in ([1 << 20] * 128, ["x"] * 128, [float("nan")] * 128, [0.0] * 128, [], 7):
        with pytest.raises(errors.InvalidArgument):
            score(weights, TEXT, architecture="nano", target_embedding=target)  # type: ignore[call-overload]
    other = score(weights, TEXT, architecture="nano", seed="0x" + "01" * 32)
    assert other.winning.sigreg_nano != score(weights, TEXT, architecture="nano").winning.sigreg_nano


def test_the_interpreter_is_free_while_it_scores(files: list[Path]) -> None:
    ticks = 0
    done = threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not done.is_set():
            ticks += 1
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    told: list[tuple[int, int]] = []
    begun = time.monotonic()
    score(files, [TEXT * 6] * 4, architecture="nano", progress=lambda done, total: told.append((done, total)))
    lasted = time.monotonic() - begun
    done.set()
    thread.join()
    assert ticks > lasted * 50
    time.sleep(0.05)
    assert told[-1][0] == told[-1][1] > 0
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_ctrl_c_ends_scoring(files: list[Path]) -> None:
    script = """
    import sys
    from soma_sdk import score
    print("begins", flush=True)
    score(sys.argv[1], [b"some text " * 100_000] * 100, architecture="nano")
    """
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script), str(files[0])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begins\n"
    time.sleep(0.5)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in error
    assert time.monotonic() - begun < 10


async def test_scores_of_the_network_are_in_its_epoch(client: SomaClient, files: list[Path]) -> None:
    told: list[tuple[int, int]] = []
    found = await client.score(files, TEXT, progress=lambda done, total: told.append((done, total)))
    epoch = await client._ask(client._native.epoch())
    again = score(files, TEXT, architecture="nano", seed=epoch["state"]["seed"])
    assert found == again or (await client._ask(client._native.epoch()))["epoch"] != epoch["epoch"]
    await asyncio.sleep(0.05)
    assert told[-1][0] == told[-1][1]
    task = asyncio.ensure_future(client.score(files, [TEXT * 300] * 100))
    await asyncio.sleep(0.3)
    task.cancel()
    begun = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - begun < 2


async def test_submissions_need_a_target(client: SomaClient, rich: Keypair) -> None:
    with pytest.raises(errors.NotFound):
        await client.submit_data(rich, "0x" + "11" * 32, TEXT)
    assert await client.get_submissions(submitter=rich) == []
    assert await client.reveal_pending_submissions(rich) == []
