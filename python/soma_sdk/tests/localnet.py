"""`soma localnet` as pytest starts it: one for a test of its own, or one for all processes of pytest."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from ports import free_port

START_MAX = 600.0
"""A busy machine starts it late; one that cannot start ends by itself."""


def binary() -> str:
    """The `soma` binary: $SOMA_BIN, beside the wheel, or what cargo built last."""
    if named := os.environ.get("SOMA_BIN"):
        return named
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "soma/target"
    built = [
        path
        for target in (os.environ.get("CARGO_TARGET_DIR", cache), Path(__file__).parents[3] / "target")
        for path in (Path(target) / "release/soma", Path(target) / "debug/soma")
        if path.exists()
    ]
    if built:
        return str(max(built, key=lambda path: path.stat().st_mtime))
    if path := shutil.which("soma"):
        return path
    pytest.skip("no soma binary: build one (cargo build -p soma-cli) or name it in SOMA_BIN")


class Localnet:
    """`soma localnet` as its own process."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder
        self.port = free_port() if port is None else port
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it serves."""
        command = [binary(), "--home", str(self.folder / "node-home"), "localnet"]
        command += ["--dir", str(self.folder / "net"), "--listen", f"127.0.0.1:{self.port}"]
        with (self.folder / "localnet.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        begun = time.monotonic()
        while not self.serves():
            if self.process.poll() is not None or time.monotonic() - begun > START_MAX:
                self.stop(kill=True)
                raise RuntimeError((self.folder / "localnet.log").read_text(errors="replace"))
            time.sleep(0.2)

    def serves(self) -> bool:
        """Whether its API answers."""
        try:
            with urllib.request.urlopen(f"{self.url}/v1/status", timeout=5) as answer:
                return json.load(answer)["height"] > 0
        except (OSError, urllib.error.URLError):
            return False

    def stop(self, *, kill: bool = False) -> None:
        """Stop it."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGKILL if kill else signal.SIGINT)
        self.process.wait(timeout=60)
        self.process = None


@contextlib.contextmanager
def shared(folder: Path) -> Iterator[Localnet]:
    """One localnet for all processes that name a folder. The first starts it, and stops it after the last."""
    told = folder / "port"
    with (folder / "starts").open("w") as starts, (folder / "uses").open("w") as uses:
        with locked(starts):
            if told.exists():
                network = Localnet(folder, int(told.read_text()))
            else:
                network = Localnet(folder)
                network.start()
                told.write_text(str(network.port))
            fcntl.flock(uses, fcntl.LOCK_SH)
        try:
            yield network
        finally:
            fcntl.flock(uses, fcntl.LOCK_UN)
            while network.process is not None:
                with locked(starts), contextlib.suppress(BlockingIOError):
                    fcntl.flock(uses, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    told.unlink()
                    network.stop()
                time.sleep(0.1)


@contextlib.contextmanager
def locked(file: IO[str]) -> Iterator[None]:
    """Keep other processes waiting."""
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)
