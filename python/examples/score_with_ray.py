"""Score a large corpus with Ray Data: exact scores of every document, on one machine or a cluster.

    pip install "ray[data]" soma-sdk
    python python/examples/score_with_ray.py --weights a.safetensors --data data/english --out out

On a cluster the same, started by `ray job submit` or with `--address auto` on one of its machines;
data is then a place that all of them reach (a shared folder, `s3://..`, `gs://..`), and each needs
soma-sdk. Weights are read here and sent to each worker once. `--alone` does the same in this
process without Ray, to compare.

Scores come out as Parquet files with a row for each document: file, offset, bytes, loss and cross
entropy in nano-nats, and why there is none where there is none. They are the same integers wherever
they are computed.
"""

import argparse
import glob
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import soma_sdk

Batch = dict[str, Any]


def files_of(sources: list[str]) -> list[str]:
    """Return the files that sources name: globs and folders of this machine, others as they are."""
    found: list[str] = []
    for source in sources:
        inside = f"{source}/**" if Path(source).is_dir() else source
        matched = sorted(glob.glob(inside, recursive=True))  # noqa: PTH207 (of any root)
        files = [str(Path(path).absolute()) for path in matched if Path(path).is_file()]
        if "://" not in source and not files:
            sys.exit(f"error: there is no {source}")
        found += [source] if "://" in source else files
    return found


def documents(path: str, content: bytes, size: int) -> Iterator[dict[str, Any]]:
    """Cut a file into documents of `size` bytes, each with where it is from."""
    for offset in range(0, len(content), size):
        yield {"file": path, "offset": offset, "document": content[offset : offset + size]}


class Scorer:
    """A worker: it holds the weights and scores one batch of documents after the other."""

    def __init__(
        self, weights: Sequence[bytes], architecture: str, seed: str | None, threads: int
    ) -> None:
        self.weights, self.architecture = weights, architecture
        self.seed, self.threads = seed, threads

    def __call__(self, batch: Batch) -> Batch:
        """Return a batch with the best model's score of each document in place of its text."""
        texts: list[Any] = [bytes(text) for text in batch.pop("document")]
        found = soma_sdk.score(
            self.weights,
            texts,
            architecture=self.architecture,
            seed=self.seed,
            threads=self.threads,
        )
        scores = [None if isinstance(contest, str) else contest.winning for contest in found]
        batch["bytes"] = np.array([len(text) for text in texts])
        batch["loss_nano"] = np.array([score.loss_nano if score else -1 for score in scores])
        batch["cross_entropy_nano"] = np.array(
            [score.cross_entropy_nano if score else -1 for score in scores]
        )
        batch["winner"] = np.array([-1 if isinstance(c, str) else c.winner for c in found])
        batch["problem"] = np.array([c if isinstance(c, str) else "" for c in found], dtype=object)
        return batch


class RemoteScorer:
    """A worker of Ray: it fetches the weights from where they were put."""

    def __init__(self, weights: Any, *settings: Any) -> None:  # noqa: ANN401 (Ray's reference)
        import ray  # noqa: PLC0415 (not needed alone)

        self.scorer = Scorer(ray.get(weights), *settings)

    def __call__(self, batch: Batch) -> Batch:
        """Score a batch."""
        return self.scorer(batch)


def with_ray(given: argparse.Namespace, weights: list[bytes], architecture: str) -> int:
    """Score with Ray, write what comes out, return how many bytes were scored."""
    import ray  # noqa: PLC0415 (not needed alone)

    # Workers take their cores for good, and something has to read.
    cores = {} if given.address else {"num_cpus": given.workers * given.threads + 1}
    more = json.loads(given.ray) if given.ray else {}
    ray.init(address=given.address, log_to_driver=False, **(cores | more))
    size = given.document_bytes
    text = ray.data.read_binary_files(files_of(given.data), include_paths=True)
    cut = text.flat_map(lambda row: list(documents(row["path"], row["bytes"], size)))
    scored = cut.repartition(target_num_rows_per_block=given.batch_size).map_batches(
        RemoteScorer,
        fn_constructor_args=(ray.put(weights), architecture, given.seed, given.threads),
        batch_size=given.batch_size,
        compute=ray.data.ActorPoolStrategy(size=given.workers),
        num_cpus=given.threads,
    )
    scored.write_parquet(str(given.out.absolute()))
    return int(ray.data.read_parquet(str(given.out.absolute())).sum("bytes") or 0)


def alone(given: argparse.Namespace, weights: list[bytes], architecture: str) -> int:
    """Score in this process, write what comes out, return how many bytes were scored."""
    import pyarrow as pa  # noqa: PLC0415 (Ray brings it)
    from pyarrow import parquet  # noqa: PLC0415

    rows = [
        row
        for file in files_of(given.data)
        for row in documents(file, Path(file).read_bytes(), given.document_bytes)
    ]
    scorer = Scorer(weights, architecture, given.seed, given.threads)
    given.out.mkdir(exist_ok=True)
    total = 0
    for start in range(0, len(rows), given.batch_size):
        part = rows[start : start + given.batch_size]
        batch = scorer({name: [row[name] for row in part] for name in part[0]})
        total += int(batch["bytes"].sum())
        parquet.write_table(pa.table(batch), given.out / f"{start:09}.parquet")
    return total


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--weights", nargs="+", type=Path, required=True, help="of several, the best one wins")
    add("--data", nargs="+", required=True, help="files, folders, globs, or URLs that Ray reads")
    add("--out", type=Path, required=True, help="a folder for the scores")
    add("--arch", default="nano", help="nano, v1, or a JSON file with the sizes")
    add("--seed", help="of SIGReg's directions, 32 bytes in hex: an epoch's, to score as it does")
    add("--document-bytes", type=int, default=4096)
    add("--batch-size", type=int, default=16, help="documents that a worker takes at once")
    add("--workers", type=int, default=2)
    add("--threads", type=int, default=1, help="of each worker")
    add("--address", help="of a cluster's head, or auto; left out, Ray is started here")
    add("--ray", metavar="JSON", help="more for ray.init")
    add("--alone", action="store_true", help="without Ray, in this process")
    given = parser.parse_args()
    weights = [path.read_bytes() for path in given.weights]
    known = given.arch in {"nano", "v1"}
    architecture = given.arch if known else Path(given.arch).read_text(encoding="utf-8")
    begun = time.perf_counter()
    total = (alone if given.alone else with_ray)(given, weights, architecture)
    took = time.perf_counter() - begun
    where = "one process" if given.alone else f"{given.workers} workers"
    sys.stdout.write(f"{where}: {total:,} bytes in {took:.1f} s, {total / took:,.0f} bytes/s\n")


if __name__ == "__main__":
    main()
