"""Environments for programs that few tests need: made once, in the cache of `python/test`."""

import fcntl
import hashlib
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

PYTHON = Path(__file__).parents[2]


class NotInstalledError(Exception):
    """What an environment needs could not be had."""


def environment(name: str) -> Path:
    """An interpreter with what `requirements-NAME.lock` lists, and with all that this one has."""
    lock_file = PYTHON / f"requirements-{name}.lock"
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "soma/python"
    key = hashlib.sha256(sys.version.encode() + sys.prefix.encode() + lock_file.read_bytes())
    folder = cache / f"{name}-{key.hexdigest()[:16]}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"lock-{name}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            subprocess.run(
                [sys.executable, "-m", "venv", "--clear", "--without-pip", folder],
                check=True,
            )
            pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin/python"), "install", "-q"]
            done = subprocess.run(
                [*pip, "--no-deps", "--no-compile", "-r", str(lock_file)],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise NotInstalledError(done.stderr.strip()[-200:])
            (site,) = folder.glob("lib/*/site-packages")
            (site / "base.pth").write_text(sysconfig.get_paths()["purelib"])
            (folder / "complete").touch()
    return folder / "bin/python"
