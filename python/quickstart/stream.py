"""What the quickstart's files share: the model's sizes, and its text.

As the user's documents have it: V1, on FineWeb. `SOMA_ARCH=nano` takes a localnet's sizes instead
(or a JSON file's), `SOMA_DATA=data/english` text that is here, a file or a folder.
"""

import os
from functools import partial
from pathlib import Path

from soma_models.v1 import configs
from soma_models.v1.tokenizer import tokenize

ARCH = os.environ.get("SOMA_ARCH", "v1")
ModelConfig = partial(configs.ModelConfig.from_arch, ARCH)
MAX_SEQ_LEN = ModelConfig().max_seq_len
MODEL_DIR = os.environ.get("SOMA_MODEL_DIR", ".")


def examples():
    """Return rows with a text: FineWeb's, or those of SOMA_DATA over and over."""
    source = os.environ.get("SOMA_DATA")
    if source is None:
        from datasets import load_dataset

        yield from load_dataset(
            "HuggingFaceFW/fineweb", "sample-10BT", split="train", streaming=True
        )
        return
    place = Path(source)
    files = (
        sorted(file for file in place.rglob("*") if file.is_file()) if place.is_dir() else [place]
    )
    while True:
        for file in files:
            yield {"text": file.read_text(encoding="utf-8", errors="replace")}


def make_batches(batch_size: int):
    """Return token ids and targets of batch after batch, as lists."""
    buffer_ids, buffer_targets = [], []
    for example in examples():
        text = example.get("text", "")
        if not text.strip():
            continue
        sequences = tokenize(data=text.encode("utf-8"), max_seq_len=MAX_SEQ_LEN)
        for seq in sequences:
            buffer_ids.append(seq.token_ids)
            buffer_targets.append(seq.targets)
            if len(buffer_ids) == batch_size:
                yield buffer_ids, buffer_targets
                buffer_ids, buffer_targets = [], []
