"""Strategies, by the definitions of docs/strategies.md, in both frameworks."""

import json
import math
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from cases import SMALL, random_file, random_tensors
from flax import nnx
from frameworks import BOTH, Flax, Torch, batch_of

import soma_models.v1.flax.strategies
import soma_models.v1.torch.strategies
import soma_models.v1.torch.train
from soma_models.errors import InputError, WeightsError
from soma_models.v1.sigreg import epoch_directions
from soma_models.v1.strategies import (
    average,
    crowding,
    direction,
    genesis_sequences,
    is_update_due,
    places,
)
from soma_models.v1.training.settings import Settings

STRATEGIES = {
    "torch": soma_models.v1.torch.strategies,
    "flax": soma_models.v1.flax.strategies,
}
LENGTH = SMALL.max_seq_len
both = pytest.mark.parametrize("framework", BOTH, ids=lambda framework: framework.name)


def corpus(sequences, seed=0):
    """A document of so many full sequences, and a short one."""
    return np.random.default_rng(seed).bytes(sequences * LENGTH + 5)


def test_an_average_is_each_weights_own():
    mine, theirs = random_tensors(SMALL), random_tensors(SMALL, seed=1)
    merged = average(mine, theirs)
    assert merged.keys() == mine.keys()
    for name, tensor in merged.items():
        exact = 0.7 * mine[name].astype(np.float64) + 0.3 * theirs[name].astype(np.float64)
        np.testing.assert_array_equal(tensor, exact.astype(np.float32))
    np.testing.assert_array_equal(
        average(mine, theirs, 0)["final_norm.beta"], mine["final_norm.beta"]
    )
    np.testing.assert_array_equal(
        average(mine, theirs, 1)["final_norm.beta"], theirs["final_norm.beta"]
    )


def test_what_has_no_average():
    mine = random_tensors(SMALL)
    for beta in (-0.1, 1.1, math.nan):
        with pytest.raises(InputError, match="beta"):
            average(mine, mine, beta)
    wider = random_tensors(SMALL.replace(ffn_dim=48))
    with pytest.raises(WeightsError, match="linear_inner"):
        average(mine, wider)
    deeper = random_tensors(SMALL.replace(layers=3))
    with pytest.raises(WeightsError, match=r"layers\.2"):
        average(mine, deeper)


def test_genesis_sequences_are_drawn_by_the_seed_alone(tmp_path):
    document = corpus(1000)
    pieces = [document[start : start + LENGTH] for start in range(0, len(document), LENGTH)]
    drawn = genesis_sequences(document, SMALL)
    assert len(drawn) == len(set(drawn)) == 256
    numbers = [pieces.index(piece) for piece in drawn]
    # Pinned: the commands of `soma` draw the same.
    assert numbers[:8] == PINNED
    (tmp_path / "corpus").write_bytes(document)
    assert genesis_sequences(str(tmp_path), SMALL) == drawn
    assert genesis_sequences([document], SMALL, seed=0) == drawn
    assert genesis_sequences(document, SMALL, seed=1) != drawn
    # Short documents, and what is left at a document's end, have no number.
    parts = [b"short", document[: 400 * LENGTH + 5], b"", document[400 * LENGTH :]]
    assert genesis_sequences(parts, SMALL) == drawn


PINNED = [84, 870, 297, 4, 68, 329, 24, 955]


def test_a_small_corpus_gives_what_it_has():
    document = corpus(7)
    drawn = genesis_sequences(document, SMALL)
    assert sorted(drawn) == sorted(document[i * LENGTH : (i + 1) * LENGTH] for i in range(7))
    for nothing in (b"", b"x" * (LENGTH - 1), []):
        with pytest.raises(InputError, match="no document has 16 bytes"):
            genesis_sequences(nothing, SMALL)
    with pytest.raises(InputError, match="there is no /nonexistent"):
        genesis_sequences("/nonexistent", SMALL)
    for seed in (-1, 1 << 64):
        with pytest.raises(InputError, match="seed"):
            genesis_sequences(document, SMALL, seed)


@both
def test_a_genesis_embedding_is_the_direction_of_means(framework):
    model = framework.load_bytes(random_file(SMALL), SMALL.replace(dropout_rate=0.5))
    document = corpus(20)
    found = STRATEGIES[framework.name].genesis_embedding(model, document)
    assert np.linalg.norm(found) == pytest.approx(1)
    # It goes on training as it was.
    assert model.training if framework is Torch else not model.deterministic
    plain = framework.load_bytes(random_file(SMALL), SMALL)
    means = []
    for piece in genesis_sequences(document, SMALL):
        representations = plain.encode(framework.tokens(batch_of(piece, LENGTH)[0]))
        means.append(np.array(representations.tolist())[0].mean(axis=0))
    total = np.mean(means, axis=0)
    np.testing.assert_allclose(found, total / np.linalg.norm(total), atol=1e-6)


@both
def test_an_update_counts_sequences_alike_and_no_pad(framework):
    model = framework.load_bytes(random_file(SMALL), SMALL)
    documents = [b"a document of more than two sequences", b"one", b"x" * LENGTH]
    found = STRATEGIES[framework.name].update_embedding(model, documents)
    means = []
    for document in documents:
        token_ids, _ = batch_of(document, LENGTH)
        representations = np.array(model.encode(framework.tokens(token_ids)).tolist())
        means += [
            row[tokens != 256].mean(axis=0)
            for row, tokens in zip(representations, token_ids, strict=True)
        ]
    assert len(means) == 5
    total = np.sum(means, axis=0)
    np.testing.assert_allclose(found, total / np.linalg.norm(total), atol=1e-6)
    for nothing in ([], [b""]):
        with pytest.raises(InputError, match="not empty"):
            STRATEGIES[framework.name].update_embedding(model, nothing)


def test_what_has_no_direction():
    for means in (
        [],
        [[]],
        [1.0, 2.0],
        [[1.0, -2.0], [-1.0, 2.0]],
        [[math.nan, 1.0]],
        [[math.inf]],
    ):
        with pytest.raises(InputError):
            direction(means)


@pytest.mark.parametrize(
    ("wins", "days", "due"),
    [(0, 0, False), (99, 6.99, False), (100, 0, True), (1, 7, True), (0, 400, False)],
)
def test_an_embedding_is_renewed_after_100_wins_or_7_days(wins, days, due):
    assert is_update_due(wins, timedelta(days=days)) is due


def test_distilling_is_the_documents_loss_and_agrees():
    directions = epoch_directions(bytes(32), SMALL.embedding_dim)
    batch = batch_of(b"what the teacher knows, the student learns", LENGTH)
    losses = {}
    for framework in BOTH:
        student = framework.load_bytes(random_file(SMALL), SMALL)
        teacher = framework.load_bytes(random_file(SMALL, seed=1), SMALL)
        sig_reg = framework.sig_reg(directions)
        tensors = [framework.tokens(part) for part in batch]
        task, embedding = framework.loss(student, sig_reg, *batch)
        _, theirs = framework.loss(teacher, sig_reg, *batch)
        distance = np.square(embedding - theirs).mean()
        loss_of = STRATEGIES[framework.name].distill_loss
        for alpha in (0.0, 0.5, 1.0):
            loss, found = loss_of(student, teacher, sig_reg, *tensors, alpha=alpha)
            assert loss.item() == pytest.approx(alpha * task + (1 - alpha) * distance, rel=1e-5)
            np.testing.assert_allclose(np.array(found.tolist()), embedding, atol=1e-5)
        losses[framework.name] = loss_of(student, teacher, sig_reg, *tensors)[0].item()
        with pytest.raises(InputError, match="alpha"):
            loss_of(student, teacher, sig_reg, *tensors, alpha=2.0)
        wide = SMALL.replace(embedding_dim=2 * SMALL.embedding_dim)
        wider = framework.load_bytes(random_file(wide), wide)
        with pytest.raises(InputError, match=r"have \d+ numbers, the teacher's"):
            loss_of(student, wider, sig_reg, *tensors)
    assert losses["torch"] == pytest.approx(losses["flax"], rel=1e-5)


def test_torch_distils_towards_a_teacher_that_stays():
    config = SMALL.replace(dropout_rate=0.3)
    student = Torch.load_bytes(random_file(SMALL), config)
    teacher = Torch.load_bytes(random_file(SMALL, seed=1), config).train()
    token_ids, targets = map(torch.tensor, batch_of(corpus(3), LENGTH))
    sig_reg = Torch.sig_reg()
    optimizer = torch.optim.Adam(student.parameters(), lr=3e-3)
    distances = []
    for _ in range(30):
        loss, _ = STRATEGIES["torch"].distill_loss(
            student, teacher, sig_reg, token_ids, targets, alpha=0.0
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        distances.append(loss.item())
    assert distances[-1] < distances[0] / 2
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert teacher.training
    assert teacher.save_bytes() == random_file(SMALL, seed=1)


def test_flax_distils_under_jit_towards_a_teacher_that_stays():
    student = Flax.load_bytes(random_file(SMALL), SMALL)
    teacher = Flax.load_bytes(random_file(SMALL, seed=1), SMALL)
    token_ids, targets = map(jnp.array, batch_of(corpus(3), LENGTH))

    @nnx.jit
    def gradients(student, teacher, sig_reg):
        def loss_of(student, sig_reg):
            return STRATEGIES["flax"].distill_loss(student, teacher, sig_reg, token_ids, targets)

        return nnx.value_and_grad(loss_of, has_aux=True)(student, sig_reg)

    (loss, embedding), grads = gradients(student, teacher, Flax.sig_reg())
    assert math.isfinite(loss)
    assert embedding.shape == (SMALL.embedding_dim,)
    assert any(np.abs(leaf).max() > 0 for leaf in map(np.asarray, nnx.to_flat_state(grads).leaves))
    assert teacher.save_bytes() == random_file(SMALL, seed=1)


@dataclass
class Listed:
    embedding: list
    counted_stake: Decimal = Decimal(10)
    status: str = "active"


DIM = 8


def listed(seed, **more):
    vector = np.random.default_rng(seed).standard_normal(DIM)
    return Listed(list(vector / np.linalg.norm(vector)), **more)


def test_a_places_share_is_what_routing_would_give():
    registry = [listed(seed, counted_stake=Decimal(seed + 1)) for seed in range(6)]
    at = np.random.default_rng(9).standard_normal((5, DIM))
    found = places(at, registry, stake=2)
    targets = np.concatenate(
        [epoch_directions(bytes([seed]) + bytes(31), DIM).T for seed in range(16)]
    )
    assert len(targets) == 4096
    shares = []
    for place in at:
        unit = place / np.linalg.norm(place)
        given = 0
        for target in targets:
            mine = 4 * math.sqrt(DIM) * (unit @ target) + math.log(2)
            others = sorted(
                4 * math.sqrt(DIM) * (np.array(model.embedding) @ target)
                + math.log(model.counted_stake)
                for model in registry
            )
            given += mine > others[-3]
        shares.append(given / 4096)
    assert {place.index: place.share for place in found} == pytest.approx(dict(enumerate(shares)))
    assert [place.share for place in found] == sorted(shares, reverse=True)
    first = at[found[0].index] / np.linalg.norm(at[found[0].index])
    cosines = [first @ np.array(model.embedding) for model in registry]
    assert found[0].nearest == pytest.approx(max(cosines))


def test_an_empty_region_is_sparser_than_a_crowded_one():
    crowd = [listed(1) for _ in range(5)]
    here, away = np.array(crowd[0].embedding), -np.array(crowd[0].embedding)
    found = places([here, away], crowd)
    assert [place.index for place in found] == [1, 0]
    assert found[0].share > found[1].share
    assert found[1].nearest == pytest.approx(1)
    low, high = crowding([away, here], crowd)
    assert low < high
    # More stake behind the model gets more of them.
    assert places([here], crowd, stake=1000)[0].share > found[1].share
    # Who does not compete, takes no place; where fewer than three do, a newcomer gets all.
    idle = [
        listed(1, status="stale"),
        listed(2, status="created"),
        listed(3, counted_stake=Decimal(0)),
    ]
    assert places([here], [*crowd[:2], *idle])[0].share == 1
    assert places([here], [])[0].nearest == -1
    assert crowding([here], crowd[:2])[0] == -math.inf


def test_what_is_no_place():
    for at in ([], [1.0] * DIM, [[0.0] * DIM], [[math.nan] * DIM]):
        with pytest.raises(InputError):
            places(at, [])
    with pytest.raises(InputError, match="the places have 4 numbers, the network's models 8"):
        places([[1.0] * 4], [listed(1)])
    for stake in (0, -1, math.nan):
        with pytest.raises(InputError, match="stake"):
            places([[1.0] * DIM], [], stake=stake)
    with pytest.raises(InputError, match="models_per_target"):
        crowding([[1.0] * DIM], [], models_per_target=0)


def test_fine_tuning_begins_where_the_competitor_is(text, tmp_path):
    (tmp_path / "text").write_bytes(text)
    log, file = tmp_path / "log", tmp_path / "competitor.safetensors"
    given = {
        "data": (str(tmp_path / "text"),),
        "batch_size": 2,
        "log_every": 1,
        "learning_rate": 0.02,
    }

    def run(steps, out, **more):
        log.unlink(missing_ok=True)
        settings = Settings.of(SMALL, **given, steps=steps, out=out, metrics=log, **more)
        assert soma_models.v1.torch.train.train(settings) == 0
        return [json.loads(line)["loss"] for line in log.read_text().splitlines()]

    fresh = run(60, file)
    (tuned,) = run(1, tmp_path / "mine.safetensors", init=file)
    assert tuned < fresh[0] - 1
    assert (tmp_path / "mine.safetensors").read_bytes() != file.read_bytes()
