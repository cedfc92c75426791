"""The same model in PyTorch, on the CPU: prints one line of JSON for the job given as argument."""

import json
import math
import resource
import sys
import time

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

SECONDS = 5.0
RUNS_MIN = 3


class Model:
    def __init__(self, path, architecture, length):
        tensors = load_file(path)
        # F.linear takes [out, in].
        self.w = {
            name: tensor.t().contiguous() if tensor.dim() == 2 and name != "embedding.weight" else tensor
            for name, tensor in tensors.items()
        }
        self.heads = architecture["heads"]
        self.layers = architecture["layers"]
        half = architecture["embedding_dim"] // self.heads // 2
        frequencies = architecture["rope_wavelength"] ** (-torch.arange(half, dtype=torch.float64) / half)
        angles = torch.arange(length, dtype=torch.float64)[:, None] * frequencies
        self.cosines, self.sines = angles.cos().float(), angles.sin().float()

    def linear(self, x, name):
        return F.linear(x, self.w[f"{name}.weight"], self.w[f"{name}.bias"])

    def norm(self, x, name):
        return F.layer_norm(x, x.shape[-1:], self.w[f"{name}.gamma"], self.w[f"{name}.beta"], 1e-5)

    def rope(self, x):
        a, b = x.chunk(2, dim=-1)
        return torch.cat([a * self.cosines - b * self.sines, b * self.cosines + a * self.sines], dim=-1)

    def representations(self, tokens):
        batch, length = tokens.shape
        x = F.embedding(tokens, self.w["embedding.weight"])
        for index in range(self.layers):
            layer = f"encoder.layers.{index}"
            normed = self.norm(x, f"{layer}.norm_1")
            q, k, v = (
                self.linear(normed, f"{layer}.attention.{part}").view(batch, length, self.heads, -1).transpose(1, 2)
                for part in ("query", "key", "value")
            )
            mixed = F.scaled_dot_product_attention(self.rope(q), self.rope(k), v, is_causal=True)
            x = x + self.linear(mixed.transpose(1, 2).reshape(batch, length, -1), f"{layer}.attention.output")
            normed = self.norm(x, f"{layer}.norm_2")
            x = x + self.linear(F.gelu(self.linear(normed, f"{layer}.pwff.linear_inner")), f"{layer}.pwff.linear_outer")
        return self.norm(x, "final_norm")


def losses(model, tokens, directions):
    x = model.representations(tokens)
    logits = model.linear(x[:, :-1].reshape(-1, x.shape[-1]), "predictor")
    cross_entropy = F.cross_entropy(logits, tokens[:, 1:].reshape(-1))
    rows = x.reshape(-1, x.shape[-1])
    rows.mean(dim=0)  # the embedding
    projections = rows @ directions
    sigreg = 0.0
    for j in range(1, 17):
        t = 3 * j / 16
        phi = math.exp(-t * t / 2)
        trapezoid = 3 / 16 * (1 if j == 16 else 2)
        angles = projections * t
        distance = (angles.cos().mean(dim=0) - phi) ** 2 + angles.sin().mean(dim=0) ** 2
        sigreg += trapezoid * phi * distance.mean().item()
    return [cross_entropy.item(), 0.02 * 32 * sigreg]


def main():
    job = json.loads(sys.argv[1])
    torch.set_num_threads(job["threads"])
    architecture = job["architecture"]
    with open(job["data"], "rb") as file:
        data = file.read()
    length = min(len(data), architecture["max_seq_len"])
    tokens = torch.frombuffer(bytearray(data), dtype=torch.uint8).long().view(-1, length)
    directions = torch.frombuffer(bytearray(open(job["directions"], "rb").read()), dtype=torch.float32)
    directions = directions.view(architecture["embedding_dim"], -1)
    models = [Model(path, architecture, length) for path in job["weights"]]
    fastest, runs = math.inf, 0
    with torch.inference_mode():
        found = [losses(model, tokens, directions) for model in models]
        start = time.perf_counter()
        while runs < RUNS_MIN or time.perf_counter() - start < SECONDS:
            run = time.perf_counter()
            found = [losses(model, tokens, directions) for model in models]
            fastest = min(fastest, time.perf_counter() - run)
            runs += 1
    print(
        json.dumps(
            {
                "version": f"torch {torch.__version__}",
                "seconds": fastest,
                "runs": runs,
                "losses": found,
                "memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            }
        )
    )


main()
