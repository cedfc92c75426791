"""What lets a run be stopped and go on: checkpoints that are whole or not there, and signals."""

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from soma_models.errors import SomaModelsError
from soma_models.v1.training.settings import Settings

__all__ = ["STOPPED", "begin", "draft", "finish", "last", "stop_flag"]

STOPPED: Final = 130
"""Exit code of a run that a signal ended."""

_RUN: Final = "run.json"


def last(settings: Settings) -> tuple[int, Path] | None:
    """Return the last whole checkpoint of this run, by its step, where there is one.

    Raises:
        SomaModelsError: it is another run's, or damaged.

    """
    kept = [] if settings.checkpoints is None else _kept(settings.checkpoints)
    if not kept:
        return None
    step, folder = kept[-1]
    try:
        facts = json.loads((folder / _RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SomaModelsError(f"the checkpoint {folder} is damaged: {error}") from error
    settings.check_facts(facts)
    return step, folder


def draft(settings: Settings) -> Path:
    """Return the folder in which a checkpoint is made before it counts."""
    return _folder(settings) / "draft"


def begin(settings: Settings) -> None:
    """Take away what an interrupted run may have left of a draft."""
    _folder(settings).mkdir(parents=True, exist_ok=True)
    shutil.rmtree(draft(settings), ignore_errors=True)


def finish(settings: Settings, step: int) -> None:
    """Make the draft the checkpoint of `step`; those before it go."""
    folder, made = _folder(settings), draft(settings)
    (made / _RUN).write_text(json.dumps(settings.facts()), encoding="utf-8")
    done = folder / f"step-{step}"
    shutil.rmtree(done, ignore_errors=True)
    made.rename(done)
    for _, old in _kept(folder)[:-1]:
        shutil.rmtree(old)


@contextmanager
def stop_flag() -> Iterator[Callable[[], bool]]:
    """Tell whether SIGINT or SIGTERM asked the run to stop; a second one ends it at once."""
    asked: list[int] = []

    def ask(number: int, _: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _folder(settings: Settings) -> Path:
    if settings.checkpoints is None:
        raise ValueError("this run keeps no checkpoints")
    return settings.checkpoints.absolute()


def _kept(folder: Path) -> list[tuple[int, Path]]:
    """Return the whole checkpoints in a folder by their steps, the last one last."""
    steps = [(path.name.removeprefix("step-"), path) for path in folder.absolute().glob("step-*")]
    return sorted((int(step), path) for step, path in steps if step.isdecimal())
