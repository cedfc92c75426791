"""Settings of a run: defaults, ranges, the command line, what makes two runs the same."""

import argparse
import math
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final, Literal, Self

from soma_models.errors import ConfigError, SomaModelsError
from soma_models.v1.configs import ModelConfig, SIGRegConfig

__all__ = ["BETAS", "Settings", "parser", "settings_of"]

BETAS: Final = (0.9, 0.98)
"""Adam's decays of the mean gradient and of the mean squared one, as in `soma train`."""

_FINAL_SHARE: Final = 0.05
"""The learning rate's share that is left at the end of a falling schedule."""
_LARGE: Final = 100_000_000
"""Weights from which a model trains with the settings of V1 in the documents."""

_RANGES: Final = {
    "steps": (1, 10**9),
    "batch_size": (1, 4096),
    "grad_accum": (1, 4096),
    "warmup_steps": (0, 10**9),
    "checkpoint_every": (1, 10**9),
    "log_every": (1, 10**9),
    "shuffle": (1, 10**6),
    "weight_decay": (0, 1),
    "learning_rate": (0, 1),
    "gradient_norm_max": (0, 10**6),
    "seed": (0, 2**32 - 1),
}
_NOT_ZERO: Final = ("learning_rate", "gradient_norm_max")

# What may change between a run's beginning and its continuation: where things lie and how often
# they are written, not what is computed.
_FREE: Final = ("out", "checkpoints", "checkpoint_every", "metrics", "log_every")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of a run."""

    config: ModelConfig
    data: tuple[str, ...]
    """Where text comes from (text.py)."""
    out: Path
    """Where the weights go."""
    steps: int
    """Updates to make."""
    learning_rate: float
    """The highest; it rises to it over `warmup_steps`."""
    schedule: Literal["cosine", "linear", "constant"]
    """How it goes on: along a cosine or a line to a twentieth, or it stays."""
    warmup_steps: int
    batch_size: int
    """Sequences in one pass, which are SIGReg's samples."""
    grad_accum: int
    """Passes whose gradients make one update, on all processes together."""
    weight_decay: float
    """Decoupled, of matrices."""
    checkpoint_every: int
    """Updates between checkpoints."""
    gradient_norm_max: float = 1.0
    """Longer gradients are scaled down to this norm."""
    sigreg: SIGRegConfig = field(default_factory=lambda: SIGRegConfig(directions=64))
    """New directions in each pass; fewer than scoring's 256 have the same mean."""
    shuffle: int = 4096
    """Sequences among which the next is drawn."""
    seed: int = 1
    """Decides fresh weights, the order of text, dropout and SIGReg's directions."""
    init: Path | None = None
    """A weights file to start from, instead of fresh weights."""
    checkpoints: Path | None = None
    """A folder in which progress is kept, and from which a run goes on."""
    metrics: Path | None = None
    """A file to which each line of the log is added as JSON."""
    log_every: int = 10
    """Updates between lines of the log."""

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            if not least <= value <= most or (value == 0 and name in _NOT_ZERO):
                lower = f"above {least}, and" if name in _NOT_ZERO else f"{least} to"
                raise ConfigError(f"{name} is {value}, must be {lower} {most}")
        if self.schedule not in ("cosine", "linear", "constant"):
            raise ConfigError(f"schedule is {self.schedule!r}, must be cosine, linear or constant")
        if self.config.max_seq_len == 1:
            raise ConfigError("max_seq_len is 1: in sequences of one byte nothing is predicted")
        if self.out.is_dir():
            raise ConfigError(f"out is {self.out}, a folder: name the file that the weights go to")
        if not self.out.parent.is_dir():
            raise ConfigError(f"out is {self.out}, but there is no folder {self.out.parent}")
        if not self.data:
            raise ConfigError("data names no source")

    @classmethod
    def of(cls, config: ModelConfig, **given: object) -> Self:
        """Return the settings that suit a config's size (docs/training.md), save those given."""
        small: dict[str, object] = {
            "steps": 1000,
            "learning_rate": 3e-3,
            "schedule": "cosine",
            "warmup_steps": 20,
            "batch_size": 1,
            "grad_accum": 2,
            "weight_decay": 0.01,
            "checkpoint_every": 200,
        }
        large: dict[str, object] = {
            "steps": 10_000,
            "learning_rate": 1e-4,
            "schedule": "constant",
            "warmup_steps": 0,
            "batch_size": 2,
            "grad_accum": 8,
            "weight_decay": 0.0,
            "checkpoint_every": 500,
        }
        defaults = small if config.parameters < _LARGE else large
        return cls(config=config, **(defaults | given))  # type: ignore[arg-type]

    def rate(self, step: int) -> float:
        """Return the learning rate of the update after `step` updates."""
        warmup = min((step + 1) / (self.warmup_steps + 1), 1.0)
        if self.schedule == "constant":
            return self.learning_rate * warmup
        done = step / self.steps
        left = 1 - done if self.schedule == "linear" else 0.5 + 0.5 * math.cos(math.pi * done)
        return self.learning_rate * warmup * (_FINAL_SHARE + (1 - _FINAL_SHARE) * left)

    def facts(self) -> dict[str, str]:
        """Return what must be equal for a checkpoint to fit, by name."""
        # Where the learning rate stays, a run's length changes no update: it may be extended.
        free = (*_FREE, "steps") if self.schedule == "constant" else _FREE
        own = [field.name for field in fields(self) if field.name not in free]
        return {name: str(getattr(self, name)) for name in own}

    def check_facts(self, found: dict[str, str]) -> None:
        """Refuse a checkpoint of another run.

        Raises:
            SomaModelsError: with what differs.

        """
        for name, value in self.facts().items():
            if found.get(name) != value:
                raise SomaModelsError(
                    f"the checkpoint in {self.checkpoints} is another run's: {name} was "
                    f"{found.get(name)}, now it is {value}; give that, or another folder"
                )


def parser(prog: str, description: str) -> argparse.ArgumentParser:
    """Return the command line's parser, with `soma train`'s names for what it has too."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    add = parser.add_argument
    add(
        "--data",
        nargs="+",
        required=True,
        metavar="SRC",
        help="text: files, folders, globs, hf://datasets/OWNER/NAME",
    )
    add("--out", type=Path, required=True, metavar="FILE", help="where to write the weights")
    add("--arch", default="nano", help="nano, v1, or a JSON file with the sizes (nano)")
    add("--init", type=Path, metavar="FILE", help="start from these weights")
    add("--checkpoints", type=Path, metavar="DIR", help="keep progress here, and go on from it")
    add("--metrics", type=Path, metavar="FILE", help="add each line of the log here, as JSON")
    for name in ("steps", "warmup-steps", "batch-size", "grad-accum", "checkpoint-every"):
        add(f"--{name}", type=int, metavar="N")
    for name in ("log-every", "shuffle", "seed"):
        add(f"--{name}", type=int, metavar="N")
    for name in ("learning-rate", "weight-decay", "gradient-norm-max"):
        add(f"--{name}", type=float, metavar="X")
    add("--schedule", choices=("cosine", "linear", "constant"))
    add("--dropout", type=float, metavar="X", help="share left out in training (0; 0.1 for v1)")
    add("--sigreg-directions", type=int, metavar="N", help="new ones each pass; 0: no SIGReg (64)")
    add("--bf16", action="store_true", help="compute in bfloat16")
    add("--gradient-checkpointing", action="store_true", help="save memory, compute more")
    return parser


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Return the settings that a command line gave."""
    config = ModelConfig.from_arch(arguments.arch)
    dropout = arguments.dropout
    if dropout is None:
        dropout = 0.0 if config.parameters < _LARGE else 0.1
    config = config.replace(
        dropout_rate=dropout,
        compute_dtype="bfloat16" if arguments.bf16 else "float32",
        gradient_checkpointing=arguments.gradient_checkpointing,
    )
    given = {
        field.name: getattr(arguments, field.name)
        for field in fields(Settings)
        if getattr(arguments, field.name, None) is not None
    }
    given["data"] = tuple(arguments.data)
    if arguments.sigreg_directions is not None:
        given["sigreg"] = SIGRegConfig(directions=arguments.sigreg_directions)
    return Settings.of(config, **given)
