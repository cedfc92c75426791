"""Whole V1 forward in PyTorch: FP32, TF32, bf16, compiled; and what the machine could do at most.

python3 benches/gpu/forward.py                               on a GPU, under a minute
python3 benches/gpu/forward.py --device cpu --arch nano      only tries the program
"""

import argparse
import time
from functools import partial

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
from soma_models.v1.torch import Model, ModelConfig, SIGReg, SIGRegConfig, compute_loss

CHUNKS = 5
"""Of max_seq_len bytes: a document of 5 KB."""
MODELS = 3
"""That compete for a target."""
COMPILING_MAX = 40.0
MATRIX = {"v1": 8192, "nano": 256}
COPIED = {"v1": 4 << 30, "nano": 1 << 20}


def ceilings(report: Report, device: str, arch: str) -> dict[str, float]:
    """Measure matrix products and a copy; return the products' FLOP/s by precision."""
    side, found = MATRIX[arch], {}
    for precision, dtype, setting in (
        ("fp32", torch.float32, "highest"),
        ("tf32", torch.float32, "high"),
        ("bf16", torch.bfloat16, "high"),
    ):
        torch.set_float32_matmul_precision(setting)
        a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        time_s = seconds(partial(torch.mm, a, b), device)
        found[precision] = 2 * side**3 / time_s
        report.row(
            f"{side}^3 product, {precision}", ms=1e3 * time_s, tflops=found[precision] / TERA
        )
    source = torch.empty(COPIED[arch], dtype=torch.uint8, device=device).random_()
    target = torch.empty_like(source)
    time_s = seconds(partial(target.copy_, source), device)
    report.row("copy, read and written", ms=1e3 * time_s, tb_s=2 * source.numel() / time_s / TERA)
    return found


class Bench:
    """Forward passes and documents, precision by precision."""

    def __init__(self, report: Report, config: ModelConfig, device: str) -> None:
        self.report, self.device = report, device
        self.tokens = random_bytes(CHUNKS, config.max_seq_len, device)
        self.targets = self.tokens.roll(-1, dims=1)
        self.sig_reg = SIGReg(SIGRegConfig()).to(device)
        self.flops = self.tokens.numel() * flops_per_row(config)

    def forward(self, name: str, model: Model, ceiling: float) -> None:
        """Time one forward pass of all chunks."""
        time_s = seconds(partial(model, self.tokens), self.device)
        rate = self.flops / time_s
        self.report.row(
            f"V1 forward, {name}",
            ms=1e3 * time_s,
            tflops=rate / TERA,
            of_product=rate / ceiling,
            gib=peak_memory(self.device),
        )

    def document(self, name: str, models: list[Model]) -> None:
        """Time the losses and embeddings of one document by all models, which are resident."""

        def score() -> None:
            for model in models:
                compute_loss(model, self.sig_reg, self.tokens, self.targets)

        time_s = seconds(score, self.device)
        self.report.row(
            f"document, {len(models)} models, {name}",
            ms=1e3 * time_s,
            tflops=len(models) * self.flops / time_s / TERA,
            gib=peak_memory(self.device),
        )

    def compiled(self, models: list[Model], ceiling: float) -> None:
        """Time the same with compiled layers; one compilation serves all of them."""
        start = time.perf_counter()
        try:
            with at_most(COMPILING_MAX):
                for model in models:
                    for layer in model.encoder.layers:
                        layer.compile(fullgraph=True)
                models[0](self.tokens)
                wait(self.device)
        except TooLongError:
            self.report.row(f"compiling: over {COMPILING_MAX:.0f} s")
            return
        self.report.row("compiling", ms=1e3 * (time.perf_counter() - start))
        self.forward("bf16 compiled", models[0], ceiling)
        self.document("bf16 compiled", models)


@torch.inference_mode()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--arch", choices=MATRIX, default="v1")
    given = parser.parse_args()
    torch.manual_seed(1)
    config = V1 if given.arch == "v1" else ModelConfig.nano()
    report = Report("forward", given.device, ["ms", "tflops", "of_product", "tb_s", "gib"])
    ceiling = ceilings(report, given.device, given.arch)
    bench = Bench(report, config, given.device)
    models = [fresh(config, given.device).eval() for _ in range(MODELS)]
    for name, setting in (("fp32", "highest"), ("tf32", "high")):
        torch.set_float32_matmul_precision(setting)
        bench.forward(name, models[0], ceiling[name])
        bench.document(name, models)
    models = [model.to(torch.bfloat16) for model in models]
    bench.forward("bf16", models[0], ceiling["bf16"])
    bench.document("bf16", models)
    bench.compiled(models, ceiling["bf16"])


main()
