"""What Flax users count on besides the numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import SMALL, random_file
from flax import nnx
from frameworks import batch_of
from jax.extend.core import jaxprs_in_params

from soma_models.errors import InputError
from soma_models.v1.flax import Model, SIGReg, SIGRegConfig, compute_loss
from soma_models.v1.layout import layout

TRAINING = SMALL.replace(dropout_rate=0.1)


def arrays(data=b"traced and in one program"):
    return tuple(jnp.array(part) for part in batch_of(data, SMALL.max_seq_len))


def load(config=SMALL, seed=0):
    return Model.load_bytes(random_file(SMALL, seed), config, rngs=nnx.Rngs(0))


def test_a_models_state_is_its_weights_alone():
    want = {spec.name: spec.shape for spec in layout(SMALL)}
    trees = set()
    for model in (Model(SMALL, nnx.Rngs(0)), Model(TRAINING, nnx.Rngs(1)), load(TRAINING)):
        model.eval()
        state = nnx.state(model)
        flat, tree = jax.tree_util.tree_flatten_with_path(nnx.to_pure_dict(state))
        names = {".".join(str(key.key) for key in path): leaf.shape for path, leaf in flat}
        assert names == want
        assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(state))
        trees.add(tree)
    assert len(trees) == 1


def test_states_average():
    mine, theirs = load(TRAINING), load(seed=1)
    before = nnx.state(mine)
    merged = jax.tree.map(lambda a, b: 0.75 * a + 0.25 * b, before, nnx.state(theirs))
    nnx.update(mine, merged)
    beta = mine.final_norm.beta[...]
    want = 0.75 * load().final_norm.beta[...] + 0.25 * theirs.final_norm.beta[...]
    np.testing.assert_allclose(beta, want, rtol=1e-6)
    assert np.isfinite(compute_loss(mine, SIGReg(SIGRegConfig(), nnx.Rngs(0)), *arrays())[0])


@nnx.jit
def step(model, sig_reg, token_ids, targets):
    def loss_fn(model, sig_reg):
        return compute_loss(model, sig_reg, token_ids, targets)

    (loss, embedding), grads = nnx.value_and_grad(loss_fn, has_aux=True)(model, sig_reg)
    return loss, embedding, grads


def test_steps_are_traced_once_and_draw_anew():
    traces = []

    @nnx.jit
    def counted(model, sig_reg, token_ids, targets):
        traces.append(1)
        return compute_loss(model, sig_reg, token_ids, targets)[0]

    model, sig_reg = load(TRAINING), SIGReg(SIGRegConfig(directions=8), nnx.Rngs(0))
    losses = {float(counted(model, sig_reg, *arrays())) for _ in range(4)}
    assert len(losses) == 4
    assert len(traces) == 1
    # Switched to evaluation it is another program, and back the first one again.
    model.eval()
    counted(model, sig_reg, *arrays())
    model.train()
    counted(model, sig_reg, *arrays())
    assert len(traces) == 2


def test_plain_jit_takes_it_split():
    """As JAX users write it who keep their state themselves."""
    graph, state = nnx.split((load(TRAINING), SIGReg(SIGRegConfig(), nnx.Rngs(0))))

    @jax.jit
    def run(state, token_ids, targets):
        model, sig_reg = nnx.merge(graph, state)
        loss, _ = compute_loss(model, sig_reg, token_ids, targets)
        return loss, nnx.state((model, sig_reg))

    first, state = run(state, *arrays())
    second, state = run(state, *arrays())
    assert first != second


def test_a_model_may_be_closed_over():
    """A teacher's forward pass changes no variable, whatever trace it runs in."""
    student, teacher = load(TRAINING), load(seed=1)
    teacher.eval()
    sig_reg = SIGReg(SIGRegConfig(), nnx.Rngs(0))

    @nnx.jit
    def distill(student, teacher, sig_reg, token_ids, targets):
        def loss_fn(student, sig_reg):
            loss, mine = compute_loss(student, sig_reg, token_ids, targets)
            _, theirs = compute_loss(teacher, sig_reg, token_ids, targets)
            return loss + jnp.mean((mine - theirs) ** 2)

        return nnx.value_and_grad(loss_fn)(student, sig_reg)

    loss, grads = distill(student, teacher, sig_reg, *arrays())
    assert np.isfinite(loss)
    assert jax.tree.structure(nnx.to_pure_dict(grads)) == jax.tree.structure(
        nnx.to_pure_dict(nnx.state(student))
    )


@pytest.mark.parametrize("checkpointing", [False, True])
def test_an_optimizer_takes_the_gradients(checkpointing):
    model = load(TRAINING.replace(gradient_checkpointing=checkpointing))
    sig_reg = SIGReg(SIGRegConfig(directions=8), nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)
    losses = []
    for _ in range(12):
        loss, _, grads = step(model, sig_reg, *arrays())
        optimizer.update(model, grads)
        losses.append(float(loss))
    assert losses[-1] < losses[0] - 0.5


def products(jaxpr):
    """The operands' types of each matrix product, in calls too."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield {str(operand.aval.dtype) for operand in equation.invars}
        for inner in jaxprs_in_params(equation.params):
            yield from products(inner)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_compute_dtype_reaches_every_product(dtype):
    model = load(SMALL.replace(compute_dtype=dtype))
    found = list(products(jax.make_jaxpr(lambda ids: model(ids).logits)(arrays()[0]).jaxpr))
    assert len(found) == 8 * SMALL.layers + 1
    assert all(types == {dtype} for types in found)


def test_dropout_without_randomness_is_refused():
    model = load(TRAINING)
    with pytest.raises(InputError, match="needs rngs"):
        model(arrays()[0])
    assert model(arrays()[0], nnx.Rngs(0)).logits.shape == (2, 16, 264)
    model.eval()
    model(arrays()[0])


def test_sig_reg_splits_its_streams_off():
    rngs = nnx.Rngs(0)
    first, second = (SIGReg(SIGRegConfig(directions=4), rngs) for _ in range(2))
    representations, mask = jnp.ones((1, 3, 24)), jnp.ones((1, 3), bool)
    assert first(representations, mask) != second(representations, mask)
