"""How far scoring by integers is from float64, beside float32 and bf16. Needs no GPU.

python3 benches/gpu/accuracy.py shapes                       products of V1's shapes
python3 benches/gpu/accuracy.py models [--trained nano.safetensors]
                                                             losses of small models
python3 benches/gpu/accuracy.py v1 --device cuda             losses of whole V1, on a GPU
"""

import argparse
import copy
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from torch import Tensor

from common import ROOT, V1, Report, fresh
from digits import SCHEMES, Digits, Scheme, multiply, split
from soma_models.v1.configs import PAD, ModelConfig
from soma_models.v1.tokenizer import tokenize
from soma_models.v1.torch import Model, SIGReg, SIGRegConfig

ROWS = 2048
SHAPES = [("2048 to 8192", 2048, 8192), ("8192 to 2048", 8192, 2048)]
OUTLIERS, OUTLIER = 4, 32.0
"""Coordinates that are so much larger than the others, as trained transformers have them."""
READERS = {
    "norm_1": ("attention.query", "attention.key", "attention.value"),
    "norm_2": ("pwff.linear_inner",),
}
"""The linear maps that read a norm."""
CHAINS = (64, 512)
"""Rows and columns of which sequential chains are computed: the rest would say the same."""
VECTORS = ROOT / "crates/model/tests/vectors"
TEXT = ROOT / "data/english/persuasion-4.txt"


class Error(NamedTuple):
    """How far a result is from its reference."""

    relative: float
    """Length of the difference by the reference's."""
    largest: float
    """Largest difference by the root mean square of the reference."""


def error(result: Tensor, reference: Tensor) -> Error:
    """Compare a product with float64's."""
    difference = result.double() - reference
    mean = reference.square().mean().sqrt()
    return Error(
        (difference.norm() / reference.norm()).item(), (difference.abs().max() / mean).item()
    )


def activations(length: int, outlier: float) -> Tensor:
    """Return rows as V1's linear maps get them: normed into 8192, after GELU into 2048."""
    x = torch.randn(ROWS, length)
    x[:, :OUTLIERS] *= outlier
    return F.layer_norm(x, (length,)) if length == V1.embedding_dim else F.gelu(x)


def chain(x: Tensor, w: Tensor) -> Tensor:
    """Return x @ w as scoring defines it: one chain of fused multiply-adds, k ascending.

    The sum is rounded to float64 first, which alters a last bit about once in 2^29.
    """
    total = x.new_zeros(x.shape[0], w.shape[1])
    for k in range(x.shape[1]):
        total = torch.addcmul(total.double(), x[:, k, None].double(), w[k].double()).float()
    return total


def products(x: Tensor, w: Tensor) -> dict[str, Error]:
    """Measure each way to compute x @ w."""
    reference = x.double() @ w.double()
    rows, columns = CHAINS
    part = chain(x[:rows], w[:, :columns].contiguous())
    found = {
        "float32 chain": error(part, reference[:rows, :columns]),
        "bf16": error(x.bfloat16() @ w.bfloat16(), reference),
    }
    bias = w.new_zeros(w.shape[1])
    for scheme in SCHEMES:
        found[str(scheme)] = error(multiply(x, columns_of(w, scheme), scheme, bias), reference)
    return found


def shapes() -> None:
    """Measure products of V1's shapes, without outliers and with."""
    report = Report("shapes", "cpu", ["relative", "largest", "o. relative", "o. largest"])
    for name, length, outputs in SHAPES:
        w = torch.randn(length, outputs) / length**0.5
        plain, wild = (products(activations(length, size), w) for size in (1.0, OUTLIER))
        for method in plain:
            cells = zip(report.columns, (*plain[method], *wild[method]), strict=True)
            report.row(f"{name}, {method}", **dict(cells))


def columns_of(w: Tensor, scheme: Scheme) -> Digits:
    """Return the columns of a weight matrix [in, out] as digits."""
    return split(w.t().contiguous(), scheme.digits, last_first=True)


def by_integers(model: Model, scheme: Scheme) -> Model:
    """Return a copy of a model whose linear maps compute by integers."""
    model = copy.deepcopy(model)
    for module in model.modules():
        if isinstance(bias := getattr(module, "bias", None), Tensor):
            weight = columns_of(module.get_parameter("weight").detach(), scheme)
            module.forward = partial(_linear, weight=weight, scheme=scheme, bias=bias)
    return model


def _linear(x: Tensor, *, weight: Digits, scheme: Scheme, bias: Tensor) -> Tensor:
    return multiply(x.flatten(0, -2), weight, scheme, bias).view(*x.shape[:-1], -1)


class Score(NamedTuple):
    """What scoring a document comes to."""

    cross_entropy: float
    sigreg: float
    embedding: Tensor


def score(model: Model, sig_reg: SIGReg, data: bytes, device: str) -> Score:
    """Score a document, everything after the model in float64."""
    sequences = tokenize(data, model.config.max_seq_len)
    tokens = torch.tensor([sequence.token_ids for sequence in sequences], device=device)
    targets = torch.tensor([sequence.targets for sequence in sequences], device=device)
    representations, logits = model(tokens)
    mask = tokens != PAD
    loss = F.cross_entropy(logits.double().flatten(0, 1), targets.flatten(), ignore_index=PAD)
    return Score(
        loss.item(),
        sig_reg(representations, mask).item(),
        representations[mask].double().mean(dim=0),
    )


def compare(report: Report, name: str, model: Model, documents: list[bytes], device: str) -> None:
    """Report the largest differences from float64 over some documents, method by method."""
    config = model.config
    directions = F.normalize(torch.randn(config.embedding_dim, 256, device=device), dim=0)
    sig_reg = SIGReg(SIGRegConfig(), directions)
    wide = copy.deepcopy(model).double()
    references = [score(wide, sig_reg, data, device) for data in documents]
    del wide
    for method, measured in methods(model):
        found = [score(measured, sig_reg, data, device) for data in documents]
        pairs = list(zip(found, references, strict=True))
        report.row(
            f"{name}, {method}",
            entropy=max(abs(a.cross_entropy - b.cross_entropy) for a, b in pairs),
            sigreg=max(abs(a.sigreg - b.sigreg) for a, b in pairs),
            cosine=max(
                abs(1 - F.cosine_similarity(a.embedding, b.embedding, dim=0).item())
                for a, b in pairs
            ),
        )


def methods(model: Model) -> Iterator[tuple[str, Model]]:
    """Return the ways to compute a model, one after the other."""
    yield "float32", model
    yield "bf16", copy.deepcopy(model).bfloat16()
    for scheme in SCHEMES:
        yield str(scheme), by_integers(model, scheme)


def with_outliers(model: Model) -> Model:
    """Make some coordinates large that linear maps read, and their weights as much smaller.

    The factor is a power of two: to a bit, nothing else changes in floating point.
    """
    weights = dict(model.named_parameters())
    for index in range(model.config.layers):
        layer = f"encoder.layers.{index}"
        for norm, readers in READERS.items():
            weights[f"{layer}.{norm}.gamma"][:OUTLIERS] *= OUTLIER
            for reader in readers:
                weights[f"{layer}.{reader}.weight"][:OUTLIERS] /= OUTLIER
    return model


def small_models(report: Report, trained: Path | None) -> None:
    """Compare the vectors' models, a deep one, and one that was trained."""
    for path in sorted(VECTORS.glob("*.safetensors")):
        vectors = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        sizes = {name: int(size) for name, size in vectors["architecture"].items()}
        config = ModelConfig.nano().replace(**sizes)
        documents = [bytes.fromhex(case["data_hex"]) for case in vectors["cases"]]
        compare(report, path.stem, Model.load(path, config), documents, "cpu")
    text = TEXT.read_bytes()
    deep = ModelConfig.nano().replace(layers=V1.layers, embedding_dim=256, ffn_dim=1024)
    compare(report, "24 layers", fresh(deep, "cpu"), [text[:1024]], "cpu")
    compare(report, "24, outliers", with_outliers(fresh(deep, "cpu")), [text[:1024]], "cpu")
    if trained is not None:
        model = Model.load(trained, ModelConfig.nano())
        documents = [text[start : start + 5120] for start in range(0, 8 * 5120, 5120)]
        compare(report, "trained nano", model, documents, "cpu")


def whole_v1(report: Report, device: str) -> None:
    """Compare whole V1 with fresh weights, plain and with outliers."""
    text = TEXT.read_bytes()[: V1.max_seq_len]
    compare(report, "V1", fresh(V1, device), [text], device)
    compare(report, "V1, outliers", with_outliers(fresh(V1, device)), [text], device)


@torch.inference_mode()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=["shapes", "models", "v1"])
    parser.add_argument("--trained", type=Path, help="weights of a trained nano")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.manual_seed(1)
    torch.set_float32_matmul_precision("highest")
    if given.part == "shapes":
        shapes()
        return
    report = Report(given.part, given.device, ["entropy", "sigreg", "cosine"])
    if given.part == "models":
        small_models(report, given.trained)
    else:
        whole_v1(report, given.device)


main()
