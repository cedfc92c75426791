"""What the types refuse: each wrong line of `wrong/` gets the error that stands beside it, no other does."""

import re
import subprocess
import sys
from pathlib import Path

import soma_sdk

FILE = Path(__file__).with_name("wrong") / "calls.py"
PACKAGES = Path(soma_sdk.__file__).parents[1]
SAID = re.compile(r"^[^:]+:(\d+): error: (.*)  \[([a-z-]+)\]$")
WANTED = re.compile(r"#: ([a-z-]+): (.*)$")


def test_wrong_calls_are_type_errors(tmp_path: Path) -> None:
    text = FILE.read_text(encoding="utf-8")
    wanted = {
        number: (found[1], found[2])
        for number, line in enumerate(text.splitlines(), 1)
        if (found := WANTED.search(line))
    }
    command = [sys.executable, "-W", "ignore", "-m", "mypy", "--strict", "--config-file=", "--no-pretty"]
    command += ["--python-version", "3.11", "--cache-dir", str(tmp_path), "--no-error-summary", FILE.name]
    told = subprocess.run(
        command,
        cwd=FILE.parent,
        capture_output=True,
        text=True,
        check=False,
        # It finds what is in site-packages by itself, and does not bear to be told.
        env={} if PACKAGES.name == "site-packages" else {"MYPYPATH": str(PACKAGES)},
    )
    found = {}
    for line in told.stdout.splitlines():
        if match := SAID.match(line):
            found[int(match[1])] = (match[3], match[2])
    assert len(wanted) > 15
    assert found.keys() == wanted.keys(), told.stdout + told.stderr
    for number, (kind, words) in wanted.items():
        assert found[number][0] == kind, told.stdout
        assert words in found[number][1], told.stdout
