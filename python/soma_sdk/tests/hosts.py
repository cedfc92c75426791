"""Weights of the localnet's architecture, and a host for what is encrypted."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from soma_models.v1 import weights
from soma_models.v1.configs import VOCAB, ModelConfig
from soma_models.v1.layout import layout

NANO = ModelConfig.nano()
ENGLISH = (Path(__file__).parents[3] / "data/english/persuasion-1.txt").read_bytes()


def random_weights(seed: int, config: ModelConfig = NANO) -> bytes:
    """A safetensors file, another for each seed.

    It predicts how often each byte occurs in English, and no more: enough to be paid for. Without
    other biases, representations differ with the bytes.
    """
    random = np.random.default_rng(seed)
    tensors = {
        spec.name: (
            np.full(spec.shape, spec.mean)
            if len(spec.shape) == 1
            else spec.mean + 0.1 * random.standard_normal(spec.shape)
        ).astype(np.float32)
        for spec in layout(config)
    }
    counts = np.bincount(np.frombuffer(ENGLISH, np.uint8), minlength=VOCAB) + 0.1
    tensors["predictor.weight"] *= np.float32(0.01)
    tensors["predictor.bias"] = np.log(counts / counts.sum()).astype(np.float32)
    return weights.save_bytes(tensors, config)


class Host:
    """A participant's storage: what is put in it has a URL."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.files: dict[str, bytes] = {}
        self._server = server

    def put(self, name: str, content: bytes) -> str:
        """Store content; return its URL."""
        self.files[f"/{name}"] = content
        return f"http://127.0.0.1:{self._server.server_address[1]}/{name}"


@contextmanager
def hosting() -> Iterator[Host]:
    """Serve files over HTTP."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = host.files.get(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("content-length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    host = Host(server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
