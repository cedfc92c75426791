"""Both frameworks compute what the specification defines, and the same as each other."""

import json

import blake3
import numpy as np
import pytest
from cases import SMALL, VECTORS, each_case, random_file
from frameworks import BOTH, Flax, Torch, batch_of

from soma_models.errors import InputError, WeightsError
from soma_models.v1 import weights
from soma_models.v1.configs import PAD, ModelConfig
from soma_models.v1.layout import layout
from soma_models.v1.sigreg import epoch_directions

both = pytest.mark.parametrize("framework", BOTH, ids=lambda framework: framework.name)

# docs/scoring-spec.md, section 5, allows 1e-5 nats in cross entropy and 1e-5 in the cosine; float32
# in another order of sums than the exact runtime's keeps within a third of it.
CROSS_ENTROPY_ERROR = 4e-6
EMBEDDING_ERROR = 4e-6


@both
@each_case
def test_the_reference_vectors(framework, case):
    model = framework.load_bytes(case.weights.read_bytes(), case.config)
    model.eval()
    batch = batch_of(case.data, case.config.max_seq_len)
    loss, embedding = framework.loss(model, framework.sig_reg(count=0), *batch)
    assert loss == pytest.approx(case.cross_entropy, abs=CROSS_ENTROPY_ERROR)
    np.testing.assert_allclose(embedding, case.mean_embedding, atol=EMBEDDING_ERROR)


@both
def test_sigreg_of_the_reference_vectors(framework):
    cases = json.loads((VECTORS / "sigreg.json").read_text())
    assert {case["kind"] for case in cases} >= {"gaussian", "collapsed"}
    for case in cases:
        directions = np.array(case["directions"])
        directions = (directions / np.linalg.norm(directions, axis=0)).astype(np.float32)
        got = framework.regularizer(
            np.array(case["samples"], np.float32), framework.sig_reg(directions)
        )
        assert got == pytest.approx(case["sigreg"], abs=1e-6), case["kind"]


def test_an_epochs_directions_are_scorings_to_the_bit():
    # The digest that crates/model/src/sigreg.rs pins.
    directions = epoch_directions(bytes([1] * 32), 128)
    assert blake3.blake3(directions.tobytes()).hexdigest()[:16] == "b932979fb083b198"
    for seed, dim in ((b"short", 128), (bytes(32), 0), (bytes(32), 8193)):
        with pytest.raises(InputError):
            epoch_directions(seed, dim)


@pytest.mark.parametrize("length", [1, 2, 15, 16, 100])
def test_losses_embeddings_and_gradients_agree(length):
    file, data = random_file(SMALL), bytes(range(50, 50 + length))
    batch = batch_of(data, SMALL.max_seq_len)
    directions = epoch_directions(bytes(32), SMALL.embedding_dim)
    results = []
    for framework in BOTH:
        model = framework.load_bytes(file, SMALL)
        sig_reg = framework.sig_reg(directions)
        loss, embedding = framework.loss(model, sig_reg, *batch)
        results.append((loss, embedding, framework.gradients(model, sig_reg, *batch)))
    (loss, embedding, gradients), (other_loss, other_embedding, other_gradients) = results
    assert loss == pytest.approx(other_loss, abs=3e-6)
    np.testing.assert_allclose(embedding, other_embedding, atol=3e-6)
    assert gradients.keys() == other_gradients.keys()
    for name, gradient in gradients.items():
        np.testing.assert_allclose(
            gradient, other_gradients[name], rtol=1e-4, atol=1e-5, err_msg=name
        )


@both
def test_gradients_are_those_of_the_loss(framework):
    """Against differences of the loss, in the direction of the gradient itself."""
    batch = batch_of(b"differences", SMALL.max_seq_len)
    sig_reg = framework.sig_reg(epoch_directions(bytes(32), SMALL.embedding_dim))
    tensors = weights.load_bytes(random_file(SMALL), SMALL)
    gradients = framework.gradients(
        framework.load_bytes(random_file(SMALL), SMALL), sig_reg, *batch
    )
    norm = np.sqrt(sum(float((g.astype(np.float64) ** 2).sum()) for g in gradients.values()))

    def total(step):
        moved = {name: tensor + step * gradients[name] / norm for name, tensor in tensors.items()}
        model = framework.load_bytes(weights.save_bytes(moved, SMALL), SMALL)
        loss, embedding = framework.loss(model, sig_reg, *batch)
        return loss + float(embedding[0])

    slope = (total(2e-3) - total(-2e-3)) / 4e-3
    assert slope == pytest.approx(norm, rel=2e-3)


@pytest.mark.parametrize("dtype", ["F32", "BF16", "F16"])
def test_files_pass_between_the_frameworks(dtype):
    batch = batch_of(b"there and back again", SMALL.max_seq_len)
    for here, there in ((Torch, Flax), (Flax, Torch)):
        file = here.fresh(SMALL, seed=3).save_bytes(dtype)
        first, second = here.load_bytes(file, SMALL), there.load_bytes(file, SMALL)
        assert first.save_bytes() == second.save_bytes()
        assert second.save_bytes(dtype) == file
        results = [
            framework.loss(model, framework.sig_reg(count=0), *batch)[0]
            for framework, model in ((here, first), (there, second))
        ]
        assert results[0] == pytest.approx(results[1], abs=3e-6)


@both
def test_files_are_saved_and_loaded_by_path(framework, tmp_path):
    model = framework.fresh(SMALL)
    model.save(str(tmp_path / "model.safetensors"))
    assert (tmp_path / "model.safetensors").read_bytes() == model.save_bytes()
    loaded = framework.module.Model.load(tmp_path / "model.safetensors", SMALL)
    assert loaded.save_bytes() == model.save_bytes()


@both
def test_fresh_weights_are_as_the_layout_says(framework):
    config = ModelConfig.nano()
    file = framework.fresh(config, seed=1).save_bytes()
    tensors = weights.load_bytes(file, config)
    for spec in layout(config):
        assert tensors[spec.name].std() == pytest.approx(spec.deviation, rel=0.05)
        assert tensors[spec.name].mean() == pytest.approx(spec.mean, abs=0.02)
    assert framework.fresh(config, seed=1).save_bytes() == file
    assert framework.fresh(config, seed=2).save_bytes() != file


@both
def test_pad_counts_nowhere(framework):
    """A batch's padding, and what attention sees of it, changes no number."""
    token_ids, targets = batch_of(b"pad", SMALL.max_seq_len)
    directions = epoch_directions(bytes(32), SMALL.embedding_dim)
    model, sig_reg = framework.load_bytes(random_file(SMALL), SMALL), framework.sig_reg(directions)
    loss, embedding = framework.loss(model, sig_reg, token_ids, targets)
    row = np.full_like(token_ids, PAD)
    for other_ids, other_targets in (
        (token_ids[:, :4], targets[:, :4]),
        (np.concatenate((token_ids, row)), np.concatenate((targets, row))),
    ):
        got = framework.loss(model, sig_reg, other_ids, other_targets)
        assert got[0] == pytest.approx(loss, abs=2e-6)
        np.testing.assert_allclose(got[1], embedding, atol=2e-6)


@both
def test_a_batch_without_a_target_has_no_loss(framework):
    row = np.full((1, SMALL.max_seq_len), PAD)
    loss, embedding = framework.loss(framework.fresh(SMALL), framework.sig_reg(), row, row)
    assert np.isnan(loss)
    assert np.isnan(embedding).all()


@both
def test_the_future_is_not_seen(framework):
    model = framework.load_bytes(random_file(SMALL), SMALL)
    model.eval()
    ids = np.arange(16)[None]
    changed = ids.copy()
    changed[0, 10:] += 100
    first, second = (np.asarray(model.encode(framework.tokens(x)).tolist()) for x in (ids, changed))
    np.testing.assert_allclose(first[0, :10], second[0, :10], atol=1e-6)
    assert (np.abs(first[0, 10:] - second[0, 10:]).max(axis=1) > 1e-3).all()


@both
def test_encode_then_predict_is_the_model(framework):
    model = framework.fresh(SMALL)
    model.eval()
    ids = framework.tokens([[1, 2, 3]])
    representations, logits = model(ids)
    assert representations.shape == (1, 3, 24)
    assert logits.shape == (1, 3, 264)
    assert (model.encode(ids) == representations).all()
    assert (model.predict(representations) == logits).all()


@both
def test_bfloat16_computes_the_same_more_coarsely(framework):
    config = ModelConfig.nano()
    batch = batch_of(bytes(range(97, 122)) * 12, config.max_seq_len)
    file, directions = framework.fresh(config).save_bytes(), epoch_directions(bytes(32), 128)
    (loss, embedding), (coarse_loss, coarse_embedding) = (
        framework.loss(
            framework.load_bytes(file, config.replace(compute_dtype=dtype)),
            framework.sig_reg(directions),
            *batch,
        )
        for dtype in ("float32", "bfloat16")
    )
    assert coarse_loss != loss
    assert coarse_loss == pytest.approx(loss, rel=5e-3)
    assert coarse_embedding.dtype == np.float32
    np.testing.assert_allclose(coarse_embedding, embedding, atol=0.03)


@both
def test_checkpointing_changes_no_gradient(framework):
    batch = batch_of(b"once more, with checkpoints", SMALL.max_seq_len)
    results = []
    for checkpointing in (False, True):
        config = SMALL.replace(gradient_checkpointing=checkpointing, dropout_rate=0.3)
        model = framework.load_bytes(random_file(SMALL), config)
        # The same seed draws the same dropout and directions.
        results.append(framework.gradients(model, framework.sig_reg(seed=5), *batch))
    for name, gradient in results[0].items():
        np.testing.assert_allclose(gradient, results[1][name], rtol=1e-4, atol=1e-6)


@both
def test_training_draws_anew_and_evaluation_leaves_nothing_out(framework):
    batch = batch_of(b"drawn anew", SMALL.max_seq_len)
    model = framework.load_bytes(random_file(SMALL), SMALL.replace(dropout_rate=0.5))
    sig_reg = framework.sig_reg(count=0)
    model.train()
    assert len({framework.loss(model, sig_reg, *batch)[0] for _ in range(4)}) == 4
    model.eval()
    assert len({framework.loss(model, sig_reg, *batch)[0] for _ in range(2)}) == 1
    # Without dropout, what is left to chance is SIGReg's directions.
    drawing = framework.sig_reg(count=8)
    assert len({framework.loss(model, drawing, *batch)[0] for _ in range(4)}) == 4


@both
def test_fewer_directions_have_the_same_mean(framework):
    samples = np.random.default_rng(0).standard_exponential((40, 24)).astype(np.float32)

    def mean(count, draws):
        sig_reg = framework.sig_reg(count=count)
        return np.mean([framework.regularizer(samples, sig_reg) for _ in range(draws)])

    assert mean(64, 40) == pytest.approx(mean(2048, 2), rel=0.05)


@both
@pytest.mark.parametrize(
    ("token_ids", "targets", "says"),
    [
        (([1, 2], "int32"), ([2, 256], "int32"), r"shape \[2\], must be \[sequences, tokens\]"),
        (([[]], "int32"), ([[]], "int32"), r"shape \[1, 0\]"),
        (([], "int32"), ([], "int32"), r"shape \[0\]"),
        (([[1.0, 2.0]], "float32"), ([[2, 256]], "int32"), "token_ids are .*float32, must be"),
        (([[1, 2]], "int32"), ([[2.0, 256.0]], "float32"), "targets are .*float32, must be"),
        (([[1, 2]], "int32"), ([[2, 256, 256]], "int32"), "they must be equal"),
        (([[1] * 17], "int32"), ([[1] * 17], "int32"), "of 17 tokens are longer than .* 16"),
    ],
)
def test_bad_batches_are_refused(framework, token_ids, targets, says):
    with pytest.raises(InputError, match=says):
        framework.module.compute_loss(
            framework.fresh(SMALL),
            framework.sig_reg(),
            framework.tokens(*token_ids),
            framework.tokens(*targets),
        )


@both
def test_directions_of_a_wrong_shape_are_refused(framework):
    with pytest.raises(InputError, match=r"directions have shape \[24\], must be"):
        framework.sig_reg(np.ones(24, np.float32))


@both
def test_a_broken_model_is_not_saved(framework):
    tensors_file = random_file(SMALL)
    model = framework.load_bytes(tensors_file, SMALL)
    if framework is Torch:
        model.final_norm.beta.data[5] = float("nan")
    else:
        model.final_norm.beta[...] = model.final_norm.beta[...].at[5].set(np.nan)
    with pytest.raises(WeightsError, match=r"'final_norm.beta' holds nan at index 5"):
        model.save_bytes()
