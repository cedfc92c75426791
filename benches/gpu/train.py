"""Tokens a second of training V1 in PyTorch: bf16, fused AdamW, layer by layer and compiled.

python3 benches/gpu/train.py                     on a GPU, about a minute
python3 benches/gpu/train.py --device cpu        only tries the program, on nano

A step is one batch of 8 sequences of 1024 bytes: the loss with SIGReg, its gradient, clipped, and
the update, as the reference trainer makes them. FLOP/s count three forward passes a step: what
gradient checkpointing computes again is not counted.
"""

import argparse
import time

import torch

from common import (
    TERA,
    V1,
    Report,
    TooLongError,
    at_most,
    flops_per_row,
    fresh,
    peak_memory,
    random_bytes,
    seconds,
    wait,
)
from soma_models.v1.torch import ModelConfig, SIGReg, SIGRegConfig, compute_loss
from soma_models.v1.training.settings import BETAS

SEQUENCES = 8
WARM, TIMED = 3, 10
COMPILING_MAX = 60.0
DIRECTIONS = 64
LEARNING_RATE, GRADIENT_NORM_MAX = 1e-4, 1.0


class Trainer:
    """A model and all that a step needs."""

    def __init__(self, config: ModelConfig, device: str) -> None:
        self.config, self.device = config, device
        self.model = fresh(config.replace(compute_dtype="bfloat16"), device).train()
        self.sig_reg = SIGReg(SIGRegConfig(directions=DIRECTIONS)).to(device)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=LEARNING_RATE, betas=BETAS, weight_decay=0.0, fused=True
        )
        self.tokens = random_bytes(SEQUENCES, config.max_seq_len, device)
        self.targets = self.tokens.roll(-1, dims=1)

    def step(self) -> None:
        """Make one update."""
        self.optimizer.zero_grad(set_to_none=True)
        loss, _ = compute_loss(self.model, self.sig_reg, self.tokens, self.targets)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), GRADIENT_NORM_MAX)
        self.optimizer.step()

    def measure(self, report: Report, name: str) -> None:
        """Time steps and report them."""
        time_s = seconds(self.step, self.device, runs=TIMED, warm=WARM)
        tokens = self.tokens.numel()
        report.row(
            name,
            ms=1e3 * time_s,
            tokens_s=tokens / time_s,
            tflops=3 * tokens * flops_per_row(self.config) / time_s / TERA,
            gib=peak_memory(self.device),
        )

    def compiled(self) -> float:
        """Compile the layers, all by one compilation, and return the seconds of the first step."""
        start = time.perf_counter()
        with at_most(COMPILING_MAX):
            for layer in self.model.encoder.layers:
                layer.compile(fullgraph=True)
            self.step()
            wait(self.device)
        return time.perf_counter() - start


def case(report: Report, name: str, config: ModelConfig, device: str) -> None:
    """Measure one size, first as it is, then compiled."""
    trainer = Trainer(config, device)
    trainer.measure(report, name)
    try:
        report.row(f"{name}: compiling", ms=1e3 * trainer.compiled())
    except TooLongError:
        report.row(f"{name}: compiling takes over {COMPILING_MAX:.0f} s")
        return
    trainer.measure(report, f"{name}, compiled")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    given = parser.parse_args()
    torch.manual_seed(1)
    report = Report("train", given.device, ["ms", "tokens_s", "tflops", "gib"])
    whole = V1 if given.device == "cuda" else ModelConfig.nano()
    case(report, "V1 width, 4 layers", whole.replace(layers=4), given.device)
    again = whole.replace(gradient_checkpointing=True)
    case(report, "V1, gradient checkpointing", again, given.device)


main()
