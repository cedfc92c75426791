"""A corpus scored by Ray Data on a real Ray, started here: the same integers as in one process.

Ray stands in an environment of its own.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from environments import PYTHON, NotInstalledError, environment
from hosts import ENGLISH, random_weights

import soma_sdk

EXAMPLE = PYTHON / "examples/score_with_ray.py"


@pytest.fixture(scope="module")
def interpreter() -> Path:
    """An interpreter with Ray, and with all that this one has."""
    try:
        return environment("ray")
    except NotInstalledError as error:
        pytest.skip(f"Ray cannot be installed here: {error}")


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    """A folder whose path is short, for Ray puts sockets there."""
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as folder:
        yield Path(folder)


def test_a_corpus_is_scored_by_ray(interpreter: Path, tmp_path: Path, ray_folder: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"weights-{number}").write_bytes(random_weights(number))
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number in range(4):
        (corpus / f"part-{number}.txt").write_bytes(ENGLISH[number * 3000 : (number + 1) * 3000 + number])
    (corpus / "empty.txt").write_bytes(b"")
    settings = {
        "object_store_memory": 80_000_000,
        "include_dashboard": False,
        "_temp_dir": str(ray_folder),
    }

    def score(*more: str) -> list[dict[str, Any]]:
        out = tmp_path / f"out{len(more)}"
        command = [str(interpreter), "-W", "ignore", str(EXAMPLE), "--data", "corpus", "--out", out.name]
        command += ["--weights", "weights-1", "weights-2", "--document-bytes", "500", "--batch-size", "4"]
        done = subprocess.run(
            [*command, *more],
            cwd=tmp_path,
            env=os.environ | {"RAY_USAGE_STATS_ENABLED": "0"},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
        assert "12,006 bytes in" in done.stdout
        read = (
            "import json, sys, pyarrow.parquet as p; print(json.dumps(p.read_table(sys.argv[1]).to_pylist()))"
        )
        told = subprocess.run(
            [interpreter, "-c", read, out], capture_output=True, text=True, check=True
        ).stdout
        return sorted(json.loads(told), key=lambda row: (row["file"], row["offset"]))

    by_ray = score("--ray", json.dumps(settings))
    assert by_ray == score("--alone")
    assert len(by_ray) == 27
    for row in by_ray[::9]:
        text = Path(row["file"]).read_bytes()[row["offset"] :][:500]
        contest = soma_sdk.score(
            [random_weights(1), random_weights(2)],
            text,
            architecture="nano",
        )
        assert row["problem"] == ""
        assert (row["loss_nano"], row["winner"]) == (contest.winning.loss_nano, contest.winner)
    # Those of three bytes at most, at the ends, too; what has one byte has nothing to predict.
    assert [row["bytes"] for row in by_ray if row["bytes"] < 500] == [1, 2, 3]
