"""The log of a run: a line on standard error, and the same as JSON in a file."""

import json
import math
import sys
import time
from pathlib import Path

from soma_models.errors import SomaModelsError

__all__ = ["Log"]


class Log:
    """Says how a run goes."""

    def __init__(self, path: Path | None, steps: int) -> None:
        self._path = path
        self._steps = steps
        self._since = time.perf_counter()
        self._tokens = 0

    def say(self, words: str) -> None:
        """Write a note."""
        sys.stderr.write(f"{words}\n")
        sys.stderr.flush()

    def count(self, tokens: int) -> None:
        """Take note that these many tokens were handed to the model."""
        self._tokens += tokens

    def line(self, step: int, loss: float, rate: float) -> None:
        """Write the line of the update that makes it `step`; `loss` is the mean since the last."""
        now = time.perf_counter()
        speed = self._tokens / (now - self._since)
        self._since, self._tokens = now, 0
        self.say(
            f"step {step}/{self._steps}  loss {loss:.4f}  rate {rate:.2e}  {speed:,.0f} tokens/s"
        )
        if self._path is not None:
            entry = {"step": step, "loss": loss, "rate": rate, "tokens_per_second": round(speed)}
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")

    @staticmethod
    def check(step: int, loss: float) -> None:
        """End a run that diverged.

        Raises:
            SomaModelsError: the loss is not finite.

        """
        if not math.isfinite(loss):
            raise SomaModelsError(
                f"the loss is {loss} at step {step}: go on from the last checkpoint with a lower "
                "learning rate"
            )
