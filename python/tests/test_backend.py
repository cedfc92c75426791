"""The wheel's backend has cargo build the binary, in the profile and where maturin is told."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "soma_sdk/backend"))
import soma_wheel

CRATE = """
[package]
name = "small"
version = "0.1.0"
edition = "2024"

[[bin]]
name = "soma"
path = "main.rs"

[workspace]
"""


@pytest.fixture
def crate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that cargo builds in a moment stands for the real one."""
    if shutil.which("cargo") is None:
        pytest.skip("there is no cargo")
    (tmp_path / "Cargo.toml").write_text(CRATE)
    (tmp_path / "main.rs").write_text('fn main() { println!("small"); }')
    subprocess.run(["cargo", "generate-lockfile", "--offline"], cwd=tmp_path, check=True)
    monkeypatch.setattr(soma_wheel, "COMMAND_LINE", tmp_path / "Cargo.toml")
    monkeypatch.setattr(soma_wheel, "SCRIPTS", tmp_path / "soma_sdk.data/scripts")
    monkeypatch.setenv("CARGO_TARGET_DIR", str(tmp_path / "target"))
    return tmp_path


def test_the_binary_is_built_as_maturin_is_told(crate: Path) -> None:
    elsewhere = str(crate / "elsewhere")
    for arguments, folder in (
        (["--profile", "dev", "--compression-method", "stored"], "target/debug"),
        (["--strip"], "target/release"),
        (["--profile", "dev", "--target-dir", elsewhere, "-i", "3.14t"], "elsewhere/debug"),
    ):
        built = soma_wheel._build(arguments)
        assert built == crate / folder / "soma"
        assert subprocess.run([built], check=True, capture_output=True).stdout == b"small\n"


def test_the_scripts_are_there_while_maturin_runs(crate: Path) -> None:
    given = crate / "given"
    given.write_bytes(b"binary")
    with soma_wheel._binary([], given):
        script = soma_wheel.SCRIPTS / "soma"
        assert script.read_bytes() == b"binary"
        assert os.access(script, os.X_OK)
    assert not soma_wheel.SCRIPTS.parent.exists()
    with pytest.raises(RuntimeError, match="maturin failed"), soma_wheel._binary([], given):
        raise RuntimeError("maturin failed")
    assert not soma_wheel.SCRIPTS.parent.exists()


def test_what_does_not_build_is_said(crate: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (crate / "main.rs").write_text("fn main() { nonsense }")
    with pytest.raises(SystemExit, match="the `soma` binary cannot be built: cargo build"):
        soma_wheel._build(["--profile", "dev"])
    assert "nonsense" in capfd.readouterr().err
    assert not soma_wheel.SCRIPTS.parent.exists()


def test_there_is_no_source_distribution() -> None:
    with pytest.raises(SystemExit, match="build a wheel, in the repository"):
        soma_wheel.build_sdist("anywhere")
