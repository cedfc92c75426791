"""The reference trainer in PyTorch.

    python -m soma_models.v1.torch.train --data data/english --out english.safetensors
    torchrun --nproc-per-node 8 -m soma_models.v1.torch.train --arch v1 --parallel fsdp --bf16 ...

Each update's passes (grad_accum) are shared out among the processes, so a run makes the same
updates on any number of them, and a checkpoint goes on on another number. Nothing waits for the
device but the log and the checkpoints.
"""

import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributed.checkpoint import state_dict_loader, state_dict_saver
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_state_dict,
    set_state_dict,
)
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.nn.parallel import DistributedDataParallel

from soma_models.errors import ConfigError, SomaModelsError
from soma_models.v1 import weights
from soma_models.v1.torch.loss import compute_loss
from soma_models.v1.torch.model import Model
from soma_models.v1.torch.sigreg import SIGReg
from soma_models.v1.training import progress
from soma_models.v1.training.log import Log
from soma_models.v1.training.settings import BETAS, Settings, parser, settings_of
from soma_models.v1.training.text import batches

__all__ = ["main", "train"]

Parallel = Literal["ddp", "fsdp"]


class Place(NamedTuple):
    """Where this process stands among those of the run."""

    rank: int
    processes: int
    device: torch.device


def train(
    settings: Settings,
    *,
    device: str | None = None,
    parallel: Parallel = "ddp",
    compiled: bool = False,
) -> int:
    """Train a model as `settings` say and write it to `settings.out`; return the exit code.

    Under `torchrun` all processes share the work: with `ddp` each holds the whole model, with
    `fsdp` a shard of it. `compiled` has `torch.compile` make the forward and backward pass.

    Raises:
        SomaModelsError: settings, text, weights or a checkpoint are wrong, or the loss diverged.

    """
    with _joined(device) as place:
        run = _Run(settings, place, parallel, compiled=compiled)
        return run.go()


class _Run:
    """A model, its optimizer, and how far they are."""

    def __init__(
        self, settings: Settings, place: Place, parallel: Parallel, *, compiled: bool
    ) -> None:
        if settings.grad_accum % place.processes != 0:
            raise ConfigError(
                f"grad_accum is {settings.grad_accum}, must be a multiple of the "
                f"{place.processes} processes that share its passes"
            )
        self.settings, self.place = settings, place
        self._alone = place.processes == 1
        torch.manual_seed(settings.seed)
        fresh = Model(settings.config)
        model = fresh if settings.init is None else Model.load(settings.init, settings.config)
        model = model.train().to(place.device)
        self.sig_reg = SIGReg(settings.sigreg).to(place.device)
        self.parallel_model = _parallel(model, place, parallel, compiled=compiled)
        self.model = model
        self.optimizer = _optimizer(model, settings)
        self.log = Log(settings.metrics if place.rank == 0 else None, settings.steps)
        self.step = self._resume()

    def go(self) -> int:
        settings, place = self.settings, self.place
        total = torch.zeros((), device=place.device)
        since = self.step
        with _stop_flag(place) as stopped:
            for tokens, targets in batches(settings, self.step):
                if self.step == settings.steps:
                    break
                total += self._update(self._mine(tokens), self._mine(targets))
                self.log.count(tokens.size)
                self.step += 1
                last = self.step == settings.steps
                stop = stopped()
                kept = last or stop or self.step % settings.checkpoint_every == 0
                # A checkpoint is kept of a run whose loss is known to be finite.
                if kept or self.step % settings.log_every == 0:
                    self._report(total / (self.step - since))
                    total.zero_()
                    since = self.step
                if kept:
                    self._checkpoint()
                if stop and not last:
                    self._say(f"stopped at step {self.step}")
                    return progress.STOPPED
        self._save()
        return 0

    def _mine(self, passes: NDArray[np.int64]) -> Tensor:
        """Return this process's part of an update's passes, on its way to the device."""
        part = torch.from_numpy(passes[self.place.rank :: self.place.processes])
        if self.place.device.type == "cuda":
            part = part.pin_memory()
        return part.to(self.place.device, non_blocking=True)

    def _update(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Make one update from passes [passes, B, T]; return their mean loss, not waited for."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.rate(self.step)
        self.optimizer.zero_grad(set_to_none=True)
        passes = len(tokens)
        total = torch.zeros((), device=tokens.device)
        for index in range(passes):
            # What is drawn depends on the run's seed and the pass alone.
            number = (self.step * passes + index) * self.place.processes + self.place.rank
            torch.manual_seed((self.settings.seed << 32) + number)
            with self._synchronised(last=index == passes - 1):
                loss, _ = compute_loss(
                    self.parallel_model, self.sig_reg, tokens[index], targets[index]
                )
                torch.autograd.backward(loss / passes)
            total += loss.detach() / passes
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.gradient_norm_max)
        self.optimizer.step()
        return total

    @contextmanager
    def _synchronised(self, *, last: bool) -> Iterator[None]:
        """Exchange gradients between processes in an update's last pass alone."""
        model = self.parallel_model
        if isinstance(model, FSDPModule):
            model.set_requires_gradient_sync(last)
        if isinstance(model, DistributedDataParallel) and not last:
            with model.no_sync():
                yield
        else:
            yield

    def _report(self, loss: Tensor) -> None:
        if not self._alone:
            dist.all_reduce(loss, dist.ReduceOp.SUM)
            loss /= self.place.processes
        mean = loss.item()
        if self.place.rank == 0:
            self.log.line(self.step, mean, self.settings.rate(self.step - 1))
        self.log.check(self.step, mean)

    def _say(self, words: str) -> None:
        if self.place.rank == 0:
            self.log.say(words)

    def _state(self) -> dict[str, Any]:
        model, optimizer = get_state_dict(self.model, self.optimizer)
        return {"model": model, "optimizer": optimizer}

    def _checkpoint(self) -> None:
        if self.settings.checkpoints is None:
            return
        if self.place.rank == 0:
            progress.begin(self.settings)
        self._wait()
        draft = progress.draft(self.settings)
        with _alone_without_warning():
            state_dict_saver.save(self._state(), checkpoint_id=draft)
        if self.place.rank == 0:
            progress.finish(self.settings, self.step)
        self._wait()

    def _resume(self) -> int:
        """Take up the last checkpoint, where there is one; return its step."""
        checkpoint = progress.last(self.settings)
        if checkpoint is None:
            return 0
        step, folder = checkpoint
        state = self._state()
        with _alone_without_warning():
            state_dict_loader.load(state, checkpoint_id=folder)
        set_state_dict(
            self.model,
            self.optimizer,
            model_state_dict=state["model"],
            optim_state_dict=state["optimizer"],
        )
        self._say(f"going on from step {step}")
        return step

    def _save(self) -> None:
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        whole = cast("dict[str, Tensor]", get_model_state_dict(self.model, options=options))
        if self.place.rank == 0:
            tensors = {name: tensor.numpy() for name, tensor in whole.items()}
            weights.save(self.settings.out, tensors, self.settings.config)
            self._say(f"wrote {self.settings.out}")
        self._wait()

    def _wait(self) -> None:
        if not self._alone:
            dist.barrier()


def _parallel(model: Model, place: Place, parallel: Parallel, *, compiled: bool) -> nn.Module:
    if place.processes > 1 and parallel == "fsdp":
        for layer in model.encoder.layers:
            if compiled:
                layer.compile(fullgraph=True)
            fully_shard(layer)
        fully_shard(model)
        return model
    if compiled:
        model.compile(fullgraph=True)
    if place.processes > 1:
        on_gpu = place.device.type == "cuda"
        return DistributedDataParallel(model, device_ids=[place.device] if on_gpu else None)
    return model


def _optimizer(model: Model, settings: Settings) -> torch.optim.Optimizer:
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0},
    ]
    fused = parameters[0].device.type == "cuda"
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=BETAS, fused=fused)


@contextmanager
def _alone_without_warning() -> Iterator[None]:
    """One process on its own is what is meant where that is what there is."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield


@contextmanager
def _joined(device: str | None) -> Iterator[Place]:
    """Join the processes that `torchrun` started, if it did."""
    kind = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if "WORLD_SIZE" not in os.environ:
        yield Place(0, 1, torch.device(kind))
        return
    place = (
        torch.device(kind, int(os.environ["LOCAL_RANK"])) if kind == "cuda" else torch.device(kind)
    )
    if place.type == "cuda":
        torch.cuda.set_device(place)
    dist.init_process_group(device_id=place if place.type == "cuda" else None)
    try:
        yield Place(dist.get_rank(), dist.get_world_size(), place)
    finally:
        dist.destroy_process_group()


@contextmanager
def _stop_flag(place: Place) -> Iterator[Callable[[], bool]]:
    """Tell whether to stop at a checkpoint.

    Several processes would be at different steps when a signal comes: it ends them at once, and
    they go on from their last checkpoint.
    """
    if place.processes > 1:
        yield lambda: False
    else:
        with progress.stop_flag() as stopped:
            yield stopped


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    command = parser("python -m soma_models.v1.torch.train", "Train a model with PyTorch.")
    command.add_argument("--device", help="cpu, cuda, .. (cuda where there is one)")
    command.add_argument(
        "--parallel", choices=("ddp", "fsdp"), default="ddp", help="under torchrun"
    )
    command.add_argument("--compile", action="store_true", help="compile the model")
    given = command.parse_args(arguments)
    try:
        return train(
            settings_of(given), device=given.device, parallel=given.parallel, compiled=given.compile
        )
    except (SomaModelsError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
