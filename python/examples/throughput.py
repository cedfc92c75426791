"""Tokens per second in training: PyTorch eager and compiled, Flax and `soma train`, side by side.

    python python/examples/throughput.py --soma target/release/soma

One run of each after the other, on the same text, processor cores and settings, each by its own
clock; and PyTorch by `torchrun` in several processes, each with as many cores. The first half of a
run here, in which programs are compiled, does not count.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def python(module: str, *more: str) -> list[str]:
    """Return the command that runs a trainer of this package."""
    return [sys.executable, "-m", f"soma_models.v1.{module}.train", *more]


def main() -> None:
    """Run all four and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1, help="cores that each has")
    parser.add_argument("--processes", type=int, default=2, help="of torchrun; 1: leave it out")
    parser.add_argument("--arch", default="nano")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--soma", default="soma")
    given = parser.parse_args()
    more = ["--bf16"] if given.bf16 else []
    runs = {
        "torch, eager": python("torch", *more),
        "torch, compiled": python("torch", "--compile", *more),
        "flax": python("flax", *more),
        "soma train": [given.soma, "train", "--json", f"--threads={given.threads}"],
    }
    shared = f"torch, {given.processes} processes"
    if given.processes > 1:
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        launcher += [f"--nproc-per-node={given.processes}"]
        runs[shared] = [*launcher, "-m", "soma_models.v1.torch.train", *more]
    cores = sorted(os.sched_getaffinity(0))
    env = os.environ | {"OMP_NUM_THREADS": str(given.threads)}
    sys.stdout.write(f"{given.arch}, cores of {platform.machine()}: {given.threads}\n")
    for name, command in runs.items():
        of_this = given.threads * (given.processes if name == shared else 1)
        os.sched_setaffinity(0, cores[:of_this])
        with tempfile.TemporaryDirectory() as folder:
            metrics = Path(folder) / "metrics"
            own = [] if name == "soma train" else [f"--metrics={metrics}", "--log-every=1"]
            flags = {
                "data": REPOSITORY / "data/english",
                "out": Path(folder) / "out",
                "arch": given.arch,
                "steps": given.steps,
                "batch-size": given.batch_size,
                "grad-accum": 2 * given.processes,
            }
            done = subprocess.run(
                [*command, *own, *(f"--{flag}={value}" for flag, value in flags.items())],
                env=env,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                sys.exit(f"{name}: {done.stderr}")
            if own:
                lines = [json.loads(line) for line in metrics.read_text().splitlines()]
                speeds = [line["tokens_per_second"] for line in lines[len(lines) // 2 :]]
                speed = statistics.median(speeds)
            else:
                speed = json.loads(done.stdout)["tokens_per_second"]
        sys.stdout.write(f"{name:18} {speed:10,.0f} tokens/s\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
