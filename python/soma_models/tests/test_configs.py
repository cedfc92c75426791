"""Configs: V1's sizes, those of others, and what is refused."""

import json
import pickle

import numpy as np
import pytest
from cases import SMALL, VECTORS

from soma_models.errors import ConfigError
from soma_models.v1.configs import V1_MAX_SEQ_LEN, ModelConfig, SIGRegConfig
from soma_models.v1.layout import layout
from soma_models.v1.rope import rope_tables


def test_v1_is_what_the_network_runs():
    config = ModelConfig(dropout_rate=0.1)
    assert V1_MAX_SEQ_LEN == config.max_seq_len == 1024
    assert config.architecture() == {
        "embedding_dim": 2048,
        "heads": 8,
        "layers": 24,
        "ffn_dim": 8192,
        "max_seq_len": 1024,
        "rope_wavelength": 10_000,
    }
    assert config.head_dim == 256
    assert ModelConfig.nano().parameters == 861_192  # as crates/types counts them


@pytest.mark.parametrize("config", [SMALL, ModelConfig.nano(), ModelConfig(dropout_rate=0.0)])
def test_the_layout_counts_every_weight_once(config):
    specs = layout(config)
    assert sum(spec.size for spec in specs) == config.parameters
    assert len({spec.name for spec in specs}) == len(specs)


def test_an_architecture_is_a_preset_or_a_json_file(tmp_path):
    assert ModelConfig.from_arch("v1") == ModelConfig(dropout_rate=0.0)
    assert ModelConfig.from_arch("nano", dropout_rate=0.1) == ModelConfig.nano(dropout_rate=0.1)
    file = tmp_path / "small.json"
    file.write_text(json.dumps(SMALL.architecture() | {"rope_wavelength": 100.0}))
    assert ModelConfig.from_arch(file) == SMALL


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot read the architecture"),
        ("{", "is no architecture"),
        ("[" * 100_000, "is no architecture"),
        ("[]", "must have embedding_dim, heads"),
        ('{"layers": 2}', "must have embedding_dim, heads"),
        (json.dumps(SMALL.architecture() | {"layers": 2.5}), "layers is 2.5"),
        (json.dumps(SMALL.architecture() | {"rope_wavelength": 0.5}), "rope_wavelength is 0.5"),
        (json.dumps(SMALL.architecture() | {"more": 1}), "must have"),
    ],
)
def test_a_bad_architecture_file_is_refused(tmp_path, content, says):
    file = tmp_path / "arch.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=says):
        ModelConfig.from_arch(file)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"layers": 0}, "layers is 0, must be 1 to 256"),
        ({"layers": 257}, "layers is 257, must be 1 to 256"),
        ({"layers": True}, "layers is True, must be a whole number"),
        ({"layers": "2"}, "layers is '2', must be a whole number"),
        ({"embedding_dim": 8194}, "embedding_dim is 8194, must be 1 to 8192"),
        ({"embedding_dim": 26}, "26 dimensions do not split into 3 heads of an even size"),
        ({"heads": 5}, "24 dimensions do not split into 5 heads of an even size"),
        ({"rope_wavelength": 10_000.0}, "rope_wavelength is 10000.0, must be a whole number"),
        ({"dropout_rate": -0.1}, "dropout_rate is -0.1, must be 0 to 0.9"),
        ({"dropout_rate": 1.0}, "dropout_rate is 1.0, must be 0 to 0.9"),
        ({"dropout_rate": float("nan")}, "dropout_rate is nan"),
        ({"dropout_rate": "0.1"}, "dropout_rate is a str, must be a number"),
        ({"compute_dtype": "float16"}, "compute_dtype is 'float16', must be"),
    ],
)
def test_a_bad_field_is_named(change, says):
    with pytest.raises(ConfigError, match=says):
        SMALL.replace(**change)


@pytest.mark.parametrize("directions", [-1, 4097, 2.0, True])
def test_directions_have_a_range(directions):
    with pytest.raises(ConfigError, match="directions is"):
        SIGRegConfig(directions=directions)


def test_configs_are_values():
    assert pickle.loads(pickle.dumps(SMALL)) == SMALL
    assert len({SMALL, SMALL.replace(), SMALL.replace(dropout_rate=0.1)}) == 2
    with pytest.raises(AttributeError):
        SMALL.layers = 3


def test_rope_rotates_by_positions():
    cosines, sines = rope_tables(SMALL)
    assert cosines.shape == (16, 4)
    assert (cosines[0] == 1).all()
    assert (sines[0] == 0).all()
    np.testing.assert_allclose(np.arctan2(sines[3], cosines[3]), 3 / 100.0 ** (np.arange(4) / 4))


def test_the_vectors_are_there():
    assert VECTORS.is_dir()
