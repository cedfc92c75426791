"""A node does what its OpenAPI document says, from which clients are made: schemathesis tries it.

`schemathesis.toml` says how: the same requests in each run.
"""

import os
import re
import subprocess
from pathlib import Path

from environments import environment
from localnet import Localnet

CONFIG = Path(__file__).with_name("schemathesis.toml")


def test_the_interface_keeps_its_contract(tmp_path: Path) -> None:
    program = environment("contract").with_name("st")
    network = Localnet(tmp_path)
    network.start()
    try:
        document = f"{network.url}/openapi.json"
        done = subprocess.run(
            [program, "--config-file", CONFIG, "--no-color", "run", document],
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "120"},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        network.stop()
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Selected: (\d+)/\1\s+Tested: \1\s", done.stdout), "an operation was not tried"
