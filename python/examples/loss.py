"""What `soma score` says of one model and one document, computed with PyTorch.

python python/examples/loss.py english.safetensors document.txt
"""

import argparse
import sys
from pathlib import Path

import torch

from soma_models.v1.sigreg import epoch_directions
from soma_models.v1.tokenizer import tokenize
from soma_models.v1.torch import Model, ModelConfig, SIGReg, SIGRegConfig, compute_loss

parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
parser.add_argument("weights")
parser.add_argument("document", type=Path)
parser.add_argument("--arch", default="nano")
parser.add_argument("--seed", type=int, default=0, help="as soma score's")
given = parser.parse_args()

config = ModelConfig.from_arch(given.arch)
model = Model.load(given.weights, config)
model.eval()
seed = given.seed.to_bytes(8, "little") + bytes(24)
sig_reg = SIGReg(SIGRegConfig(), epoch_directions(seed, config.embedding_dim))

sequences = tokenize(given.document.read_bytes(), config.max_seq_len)
token_ids = torch.tensor([sequence.token_ids for sequence in sequences])
targets = torch.tensor([sequence.targets for sequence in sequences])
with torch.no_grad():
    loss, embedding = compute_loss(model, sig_reg, token_ids, targets)
start = ", ".join(f"{x:.4f}" for x in embedding[:4].tolist())
sys.stdout.write(f"loss {loss:.6f}, mean embedding {start}, ..\n")
