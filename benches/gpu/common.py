"""What the programs here share: V1 in PyTorch, time on a device, where results go."""

import importlib.util
import itertools
import json
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, ModuleType

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python/soma_models/src"))
if importlib.util.find_spec("blake3") is None:
    # Only an epoch's directions need it, and nothing here draws those; a lent machine lacks it.
    sys.modules["blake3"] = ModuleType("blake3")

from soma_models.v1.configs import VOCAB, ModelConfig  # noqa: E402
from soma_models.v1.torch import Model  # noqa: E402

V1 = ModelConfig(dropout_rate=0)
TERA = 1e12


def fresh(config: ModelConfig, device: str) -> Model:
    """Return a model with random weights that were made on the device."""
    with torch.device(device):
        model = Model(config)
    return model.to(device)


def random_bytes(rows: int, length: int, device: str) -> torch.Tensor:
    """Return tokens [rows, length]: bytes, without PAD and EOS."""
    return torch.randint(256, (rows, length), device=device)


def flops_per_row(config: ModelConfig) -> float:
    """Return what one token costs in a forward pass.

    2 (4 d^2 + 2 d ffn) + 2 * 2 d (L + 1) / 2 in each layer, and 2 d 264 for the head: a multiply
    and an add are two, what the causal mask hides is none, norms and GELU are not counted.
    """
    d, ffn, length = config.embedding_dim, config.ffn_dim, config.max_seq_len
    layer = 2 * (4 * d * d + 2 * d * ffn) + 2 * 2 * d * (length + 1) / 2
    return config.layers * layer + 2 * d * VOCAB


def wait(device: str) -> None:
    """Return when the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def seconds(work: Callable[[], object], device: str, runs: int = 5, warm: int = 2) -> float:
    """Return the median time of `work` after `warm` runs that do not count.

    A GPU's time is by its own events; a CPU's, which only tries the program, by the clock.
    """
    for _ in range(warm):
        work()
    wait(device)
    if device != "cuda":
        times = []
        for _ in range(runs):
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
        return statistics.median(times)
    marks: list[torch.Event] = [torch.cuda.Event(enable_timing=True) for _ in range(runs + 1)]  # type: ignore[no-untyped-call]
    marks[0].record()
    for mark in marks[1:]:
        work()
        mark.record()
    torch.cuda.synchronize()
    gaps: Iterator[float] = (start.elapsed_time(end) for start, end in itertools.pairwise(marks))
    return statistics.median(gaps) / 1000


class Report:
    """A table that is printed row by row; each row is a line of JSON in $OUT too, where it is set.

    What was measured before a run is cut off so is not lost.
    """

    def __init__(self, name: str, device: str, columns: list[str]) -> None:
        out = os.environ.get("OUT")
        self.path = Path(out) / f"{name}.jsonl" if out else None
        self.columns = columns
        card = torch.cuda.get_device_name() if device == "cuda" else "CPU, only to try it"
        self.say(f"{name}: {card}, torch {torch.__version__}")
        self.say(f"{'':46}" + "".join(f"{column:>12}" for column in columns))

    def row(self, case: str, **values: float | str) -> None:
        """Print one case, a value for each column that has one."""
        cells = (_cell(values.get(column, "")) for column in self.columns)
        self.say(f"{case:46}" + "".join(f"{cell:>12}" for cell in cells))
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"case": case, **values}) + "\n")

    @staticmethod
    def say(line: str) -> None:
        """Print a line at once."""
        print(line, flush=True)


def _cell(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


class TooLongError(BaseException):
    """Time is up. No `Exception`, so that no compiler takes it for a failure of its own."""


@contextmanager
def at_most(limit: float) -> Iterator[None]:
    """Raise TooLongError after `limit` seconds."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise TooLongError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def peak_memory(device: str) -> float:
    """Return the most GiB that tensors took on a GPU since the last call."""
    if device != "cuda":
        return 0.0
    peak = torch.cuda.max_memory_allocated() / 2**30
    torch.cuda.reset_peak_memory_stats()
    return peak
