"""The same model in PyTorch on the CPU, in BF16, with a cache of keys and values: FILE TOKENS THREADS."""

import sys
import time

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

HEADS, LAYERS, LENGTH, WAVELENGTH = 8, 24, 1024, 10_000
BATCHES = (1, 4, 16)
GIB = 1 << 30


class Model:
    def __init__(self, path):
        # F.linear takes [out, in].
        self.w = {
            name: tensor.t().contiguous() if tensor.dim() == 2 and name != "embedding.weight" else tensor
            for name, tensor in load_file(path).items()
        }
        self.width = self.w["embedding.weight"].shape[1]
        half = self.width // HEADS // 2
        frequencies = WAVELENGTH ** (-torch.arange(half, dtype=torch.float64) / half)
        angles = torch.arange(LENGTH, dtype=torch.float64)[:, None] * frequencies
        self.cosines, self.sines = angles.cos().bfloat16(), angles.sin().bfloat16()

    def bytes_of_a_token(self):
        return sum(w.numel() * w.element_size() for name, w in self.w.items() if name != "embedding.weight")

    def linear(self, x, name):
        return F.linear(x, self.w[f"{name}.weight"], self.w[f"{name}.bias"])

    def norm(self, x, name):
        return F.layer_norm(x, x.shape[-1:], self.w[f"{name}.gamma"], self.w[f"{name}.beta"], 1e-5)

    def rope(self, x, position):
        a, b = x.chunk(2, dim=-1)
        cosines, sines = self.cosines[position], self.sines[position]
        return torch.cat([a * cosines - b * sines, b * cosines + a * sines], dim=-1)

    def step(self, tokens, cache, position):
        """One token of each sequence."""
        batch = tokens.shape[0]
        x = F.embedding(tokens, self.w["embedding.weight"])
        for index, (keys, values) in enumerate(cache):
            layer = f"encoder.layers.{index}"
            normed = self.norm(x, f"{layer}.norm_1")
            q, k, v = (
                self.linear(normed, f"{layer}.attention.{part}").view(batch, HEADS, 1, -1)
                for part in ("query", "key", "value")
            )
            keys[:, :, position] = self.rope(k, position)[:, :, 0]
            values[:, :, position] = v[:, :, 0]
            seen = (keys[:, :, : position + 1], values[:, :, : position + 1])
            mixed = F.scaled_dot_product_attention(self.rope(q, position), *seen)
            x = x + self.linear(mixed.reshape(batch, -1), f"{layer}.attention.output")
            normed = self.norm(x, f"{layer}.norm_2")
            x = x + self.linear(F.gelu(self.linear(normed, f"{layer}.pwff.linear_inner")), f"{layer}.pwff.linear_outer")
        return self.linear(self.norm(x, "final_norm"), "predictor")


def bandwidth(memory):
    """GiB/s of reading, at best of three."""
    fastest = float("inf")
    for _ in range(3):
        begun = time.perf_counter()
        memory.sum()
        fastest = min(fastest, time.perf_counter() - begun)
    return memory.numel() * memory.element_size() / GIB / fastest


def main():
    path, tokens, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(threads)
    model = Model(path)
    weights = model.bytes_of_a_token() / GIB
    print(f"torch {torch.__version__}, {threads} threads, {weights:.2f} GiB a token", flush=True)
    memory = torch.ones((2 << 30) // 4, dtype=torch.float32)
    best = bandwidth(memory)
    with torch.inference_mode():
        for batch in BATCHES:
            shape = (batch, HEADS, LENGTH, model.width // HEADS)
            cache = [[torch.zeros(shape, dtype=torch.bfloat16) for _ in range(2)] for _ in range(LAYERS)]
            for position in range(5):
                model.step(torch.full((batch,), 72), cache, position)
            steps = tokens if batch <= 4 else -(-tokens // 4)
            begun = time.perf_counter()
            for step in range(steps):
                model.step(torch.full((batch,), step * 7 % 256), cache, 5 + step)
            seconds = (time.perf_counter() - begun) / steps
            best = max(best, bandwidth(memory))
            print(
                f"{batch:3} sequences: {batch / seconds:8.1f} tokens/s, {1e3 * seconds:6.2f} ms a step, "
                f"{weights / seconds:5.1f} GiB/s of weights, {100 * weights / seconds / best:3.0f}% of {best:.1f} GiB/s",
                flush=True,
            )


main()
