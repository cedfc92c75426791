"""Speed of exact products by integers on a GPU's tensor cores, on V1's shapes.

python3 benches/gpu/integers.py                  on a GPU, under a minute
TRITON_INTERPRET=1 python3 benches/gpu/integers.py --device cpu
                                                 only tries the program, on tiny shapes

Each product is first compared, bit for bit, with digits.py on the CPU. `in parts` is three steps:
splitting the activations, one int8 product of cuBLAS for each weight, combining their int32 sums.
`in one pass` is splitting and a kernel that does the rest. Weights are split once, before.
"""

import argparse
from functools import partial

import torch
from torch import Tensor

import digits
import kernels
from common import TERA, V1, Report, seconds
from digits import Digits, Scheme

ROWS = 5120
SCHEMES = [Scheme(2, 1), Scheme(2, 2), Scheme(3, 2), Scheme(3, 3)]
TRIED = (256, 512, 128)
"""Width, width of the feed-forward and rows where there is no GPU."""
CHECKED = (64, 256)
"""Rows and columns that are computed on the CPU too."""


class Shape:
    """One product: x [rows, length] times w [length, outputs]."""

    def __init__(self, report: Report, device: str, rows: int, length: int, outputs: int) -> None:
        self.report, self.device = report, device
        self.name = f"{length} to {outputs}"
        self.x = torch.randn(rows, length, device=device)
        self.w = torch.randn(length, outputs, device=device) / length**0.5
        self.bias = torch.randn(outputs, device=device)
        self.flops = 2 * rows * length * outputs

    def time(self, case: str, time_s: float, products: int = 1) -> float:
        """Report a way to compute the product and return its seconds."""
        rate = self.flops / time_s / TERA
        self.report.row(f"{self.name}, {case}", ms=1e3 * time_s, tops=products * rate, tflops=rate)
        return time_s

    def floats(self) -> float:
        """Time float32, TF32 and bf16; return float32's seconds."""
        torch.set_float32_matmul_precision("high")
        self.time("tf32", seconds(partial(torch.mm, self.x, self.w), self.device))
        torch.set_float32_matmul_precision("highest")
        x, w = self.x.bfloat16(), self.w.bfloat16()
        self.time("bf16", seconds(partial(torch.mm, x, w), self.device))
        return self.time("float32", seconds(partial(torch.mm, self.x, self.w), self.device))

    def integers(self, scheme: Scheme) -> dict[str, float]:
        """Check and time one scheme; return its seconds in parts and in one pass."""
        w = digits.split(self.w.t().contiguous(), scheme.digits, last_first=True)
        x = kernels.split(self.x, scheme.digits)
        sums = digits.sums(x, w, scheme)
        result = kernels.combine(sums, x, w, scheme, self.bias)
        self._check(result, scheme)
        splitting = seconds(partial(kernels.split, self.x, scheme.digits), self.device)
        multiplying = seconds(partial(digits.sums, x, w, scheme), self.device)
        combining = seconds(partial(kernels.combine, sums, x, w, scheme, self.bias), self.device)
        self.report.row(f"{self.name}, {scheme}: splitting", ms=1e3 * splitting)
        self.time(f"{scheme}: cuBLAS", multiplying, scheme.products)
        self.report.row(f"{self.name}, {scheme}: combining", ms=1e3 * combining)
        return {
            "in parts": splitting + multiplying + combining,
            "in one pass": splitting + self._one_pass(scheme, x, w, result),
        }

    def _one_pass(self, scheme: Scheme, x: Digits, w: Digits, expected: Tensor) -> float:
        """Return the seconds of the best tile, after a check of each."""
        best = float("inf")
        for tile in kernels.TILES:
            product = partial(kernels.product, x, w, scheme, self.bias, tile)
            if not torch.equal(product(), expected):
                raise SystemExit(f"{self.name}, {scheme}, {tile}: bits differ")
            best = min(best, seconds(product, self.device))
        return self.time(f"{scheme}: one kernel", best, scheme.products)

    def _check(self, result: Tensor, scheme: Scheme) -> None:
        """Compare a corner of the result with the definition on the CPU."""
        rows, columns = CHECKED
        w = self.w[:, :columns].t().contiguous().cpu()
        columns_split = digits.split(w, scheme.digits, last_first=True)
        bias = self.bias[:columns].cpu()
        expected = digits.multiply(self.x[:rows].cpu(), columns_split, scheme, bias)
        if not torch.equal(result[:rows, :columns].cpu(), expected):
            raise SystemExit(f"{self.name}, {scheme}: bits differ from the CPU's")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    given = parser.parse_args()
    torch.manual_seed(1)
    report = Report("integers", given.device, ["ms", "tops", "tflops"])
    d, ffn, rows = (V1.embedding_dim, V1.ffn_dim, ROWS) if given.device == "cuda" else TRIED
    whole: dict[str, float] = {}
    flops = 0.0
    for length, outputs, count in ((d, d, 4), (d, ffn, 1), (ffn, d, 1)):
        shape = Shape(report, given.device, rows, length, outputs)
        flops += V1.layers * count * shape.flops
        found = {"float32": shape.floats()}
        for scheme in SCHEMES:
            times = shape.integers(scheme)
            found |= {f"{scheme}, {way}": time_s for way, time_s in times.items()}
        for way, time_s in found.items():
            whole[way] = whole.get(way, 0) + V1.layers * count * time_s
    for way, time_s in whole.items():
        report.row(f"V1's linear maps, {way}", ms=1e3 * time_s, tflops=flops / time_s / TERA)


main()
