"""Each framework is an extra: nothing needs the one that is not there."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from cases import REPOSITORY

import soma_models

FRAMEWORKS = {"torch", "jax", "jaxlib", "flax", "optax", "orbax"}


def run(program, absent):
    """Run a program in an interpreter where these packages cannot be imported."""
    finder = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""
    return subprocess.run(
        [sys.executable, "-c", finder + program], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("program", "absent"),
    [
        (
            "import soma_models.v1.configs, soma_models.v1.weights, soma_models.v1.sigreg",
            FRAMEWORKS,
        ),
        ("import soma_models.v1.configs, soma_models.v1.tokenizer", FRAMEWORKS | {"numpy"}),
        ("import soma_models.v1.torch", FRAMEWORKS - {"torch"}),
        ("import soma_models.v1.flax", {"torch"}),
    ],
)
def test_nothing_needs_what_it_does_not_use(program, absent):
    done = run(program, absent)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("framework", "absent"), [("torch", {"torch"}), ("flax", {"flax"}), ("flax", {"jax"})]
)
def test_a_missing_framework_is_named_with_its_remedy(framework, absent):
    done = run(f"import soma_models.v1.{framework}", absent)
    assert done.returncode == 1
    assert f"pip install 'soma-models[{framework}]'" in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("ModuleNotFoundError: soma_models.v1")


def test_the_package_is_typed_and_says_its_version():
    assert Path(soma_models.__file__).with_name("py.typed").exists()
    text = (REPOSITORY / "python/soma_models/pyproject.toml").read_text()
    assert f'version = "{soma_models.__version__}"' in text
    try:
        installed = version("soma-models")
    except ModuleNotFoundError:
        pytest.skip("the package is on the path, not installed")
    assert installed == soma_models.__version__
