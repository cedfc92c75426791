"""Against the public `soma-models` package, as a black box: weights pass both ways, losses agree.

Two things differ and are left out. Its SIGReg averages over directions where scoring averages over
samples (docs/history.md). Its embedding counts PAD, which its documentation and scoring leave out:
here it is held to the mean of all positions, padded ones too.
"""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from cases import SMALL, random_file
from frameworks import BOTH, batch_of

PACKAGE = "soma-models==0.1.7"


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """Return the interpreter of an environment that has the public package instead of ours."""
    folder = tmp_path_factory.mktemp("public")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin/python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps"]
    done = subprocess.run([*pip, PACKAGE], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"{PACKAGE} cannot be installed here: {done.stderr.strip()[-200:]}")
    (site,) = folder.glob("lib/*/site-packages")
    # What both need, from the environment that runs the tests; what comes first wins.
    (site / "base.pth").write_text(sysconfig.get_paths()["purelib"])
    return python


@pytest.mark.parametrize("framework", BOTH, ids=lambda framework: framework.name)
def test_weights_pass_both_ways_and_losses_agree(framework, python, tmp_path, text):
    batch = batch_of(text[:500], SMALL.max_seq_len)
    (tmp_path / "tokens.json").write_text(json.dumps([part.tolist() for part in batch]))
    (tmp_path / "ours.safetensors").write_bytes(random_file(SMALL))
    script = Path(__file__).with_name("public_package.py")
    done = subprocess.run(
        [python, script, framework.name, "ours.safetensors", "tokens.json"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout.splitlines()[-1])
    for name, file in (("given", "again.safetensors"), ("fresh", "fresh.safetensors")):
        model = framework.module.Model.load(tmp_path / file, SMALL)
        model.eval()
        loss, _ = framework.loss(model, framework.sig_reg(count=0), *batch)
        assert loss == pytest.approx(theirs[name][0], abs=3e-6)
        representations = np.array(model.encode(framework.tokens(batch[0])).tolist())
        np.testing.assert_allclose(representations.mean((0, 1)), theirs[name][1], atol=3e-6)
    again = framework.module.Model.load(tmp_path / "again.safetensors", SMALL)
    assert again.save_bytes() == random_file(SMALL)
