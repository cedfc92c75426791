"""Builds the wheel: maturin's, with the `soma` binary among its scripts.

maturin builds a crate's extension or a crate's programs, and packs what lies in the package's `data`
folder. So the binary is built first, in the same profile and for the same machine, and laid there
until the wheel is made.

pip comes in by the hooks of PEP 517; `python/wheels` runs this file with `maturin build`'s arguments.
A binary that is there already is taken with `pip wheel -C soma=PATH`, or `--soma PATH`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import maturin
from maturin import get_requires_for_build_editable, get_requires_for_build_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

PACKAGE = Path(__file__).resolve().parents[1]
COMMAND_LINE = PACKAGE.parents[1] / "crates/cli/Cargo.toml"
SCRIPTS = PACKAGE / "soma_sdk.data/scripts"
"""Where maturin looks for the package's scripts: without it, it builds nothing."""


def prepare_metadata_for_build_wheel(
    metadata_directory: str,
    config_settings: Mapping[str, Any] | None = None,
) -> str:
    """Write what is known of a wheel before it is built; return where."""
    with _scripts():
        return maturin.prepare_metadata_for_build_wheel(metadata_directory, config_settings)


prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel


def build_wheel(
    wheel_directory: str,
    config_settings: Mapping[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """Build a wheel; return its name."""
    with _binary_for(config_settings):
        return maturin.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(
    wheel_directory: str,
    config_settings: Mapping[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """Build a wheel that points here; return its name."""
    with _binary_for(config_settings):
        return maturin.build_editable(wheel_directory, config_settings, metadata_directory)


def build_sdist(sdist_directory: str, config_settings: Mapping[str, Any] | None = None) -> NoReturn:
    """Refuse: the package is built from the whole repository."""
    del sdist_directory, config_settings
    raise SystemExit("soma-sdk has no source distribution: build a wheel, in the repository")


def _binary_for(settings: Mapping[str, Any] | None) -> contextlib.AbstractContextManager[None]:
    given = (settings or {}).get("soma")
    return _binary(maturin.get_maturin_pep517_args(settings), Path(given) if given else None)


@contextlib.contextmanager
def _scripts() -> Iterator[None]:
    """Have the folder of scripts, for as long as maturin runs."""
    SCRIPTS.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        shutil.rmtree(SCRIPTS.parent)


@contextlib.contextmanager
def _binary(arguments: Sequence[str], given: Path | None) -> Iterator[None]:
    """Have the binary among the scripts, as maturin with these arguments is to pack it."""
    built = given or _build(arguments)
    with _scripts():
        shutil.copy(built, SCRIPTS / "soma")
        (SCRIPTS / "soma").chmod(0o755)
        yield


def _build(arguments: Sequence[str]) -> Path:
    """Build the binary; return where it is."""
    known = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    known.add_argument("--profile", default="release")
    known.add_argument("--target")
    known.add_argument("--target-dir")
    known.add_argument("--offline", action="store_true")
    options, _ = known.parse_known_args(arguments)
    command = ["cargo", "build", "--manifest-path", str(COMMAND_LINE), "--bin", "soma", "--locked"]
    command += ["--profile", options.profile, "--message-format", "json-render-diagnostics"]
    for name in ("target", "target_dir"):
        if value := getattr(options, name):
            command += [f"--{name.replace('_', '-')}", value]
    command += ["--offline"] * options.offline
    built = subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True)
    if built.returncode != 0:
        raise SystemExit(f"the `soma` binary cannot be built: {' '.join(command)}")
    messages = map(json.loads, built.stdout.splitlines())
    programs = [message["executable"] for message in messages if message.get("executable")]
    return Path(programs[-1])


def main() -> int:
    """Run `maturin build` with this program's arguments."""
    own = argparse.ArgumentParser(allow_abbrev=False, description=__doc__, usage="%(prog)s [--soma PATH] ..")
    own.add_argument("--soma", type=Path, help="a binary that is built already")
    options, arguments = own.parse_known_args()
    with _binary(arguments, options.soma):
        manifest = ["--manifest-path", str(PACKAGE / "Cargo.toml"), "--locked"]
        return subprocess.run(["maturin", "build", *manifest, *arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
