"""Before either framework starts: how they run here. And the `soma` binary, and text."""

import os
import shutil
from pathlib import Path

import pytest

# Two CPU devices for JAX's sharding, one thread for PyTorch. Programs are compiled for one use, so
# XLA does not optimise them.
os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
)
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault("OMP_NUM_THREADS", "1")

from cases import REPOSITORY


@pytest.fixture(scope="session")
def soma():
    """The `soma` binary: $SOMA_BIN, or what cargo built last."""
    if path := os.environ.get("SOMA_BIN"):
        return path
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "soma/target"
    targets = [os.environ.get("CARGO_TARGET_DIR"), cache, REPOSITORY / "target"]
    built = [
        binary
        for target in targets
        if target
        for binary in (Path(target) / "release/soma", Path(target) / "debug/soma")
        if binary.exists()
    ]
    if built:
        return str(max(built, key=lambda binary: binary.stat().st_mtime))
    if path := shutil.which("soma"):
        return path
    pytest.skip("no soma binary: build one (cargo build -p soma-cli) or name it in SOMA_BIN")


@pytest.fixture
def text():
    """3 KB of real text."""
    return (REPOSITORY / "data/english/persuasion-1.txt").read_bytes()[10_000:13_000]
