"""The reference trainer in Flax.

    python -m soma_models.v1.flax.train --data data/english --out english.safetensors

An update is one program on all devices that JAX sees: each pass's sequences (batch_size) are shared
out among them, and with `--parallel fsdp` weights and moments too. The compiler puts in what they
must tell each other. A checkpoint goes on on another number of devices.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
from flax import nnx
from jax import Array
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from soma_models.errors import ConfigError, SomaModelsError
from soma_models.v1.configs import SIGRegConfig
from soma_models.v1.flax.loss import compute_loss
from soma_models.v1.flax.model import Model
from soma_models.v1.flax.sigreg import SIGReg
from soma_models.v1.training import progress
from soma_models.v1.training.log import Log
from soma_models.v1.training.settings import BETAS, Settings, parser, settings_of
from soma_models.v1.training.text import batches

__all__ = ["main", "train"]

Parallel = Literal["replicate", "fsdp"]

Optimizer: TypeAlias = nnx.Optimizer[Model]
Tree: TypeAlias = Any
"""What JAX maps over: arrays in nested containers."""
_Update: TypeAlias = Callable[[Model, Optimizer, Array, Array, Array], Array]


def train(settings: Settings, *, parallel: Parallel = "replicate") -> int:
    """Train a model as `settings` say and write it to `settings.out`; return the exit code.

    All devices share the work: with `replicate` each holds the whole model, with `fsdp` a shard.

    Raises:
        SomaModelsError: settings, text, weights or a checkpoint are wrong, or the loss diverged.

    """
    mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))
    if settings.batch_size % mesh.size != 0:
        raise ConfigError(
            f"batch_size is {settings.batch_size}, must be a multiple of the {mesh.size} devices "
            "that share a pass's sequences"
        )
    log = Log(settings.metrics, settings.steps)
    model = (
        Model(settings.config, nnx.Rngs(settings.seed))
        if settings.init is None
        else Model.load(settings.init, settings.config)
    )
    optimizer = nnx.Optimizer(model, _optimizer(settings), wrt=nnx.Param)
    _place(model, optimizer, mesh, parallel)
    step = _resume(settings, model, optimizer)
    if step > 0:
        log.say(f"going on from step {step}")
    update = _updater(settings.sigreg)
    key = jax.random.key(settings.seed)
    sharing = NamedSharding(mesh, PartitionSpec(None, "data"))
    total, since = jnp.zeros(()), step
    with progress.stop_flag() as stopped:
        for batch in batches(settings, step):
            if step == settings.steps:
                break
            tokens, targets = (jax.device_put(part.astype(np.int32), sharing) for part in batch)
            total += update(model, optimizer, tokens, targets, jax.random.fold_in(key, step))
            log.count(tokens.size)
            step += 1
            last = step == settings.steps
            stop = stopped()
            kept = last or stop or step % settings.checkpoint_every == 0
            # A checkpoint is kept of a run whose loss is known to be finite.
            if kept or step % settings.log_every == 0:
                loss = total.item() / (step - since)
                log.line(step, loss, settings.rate(step - 1))
                log.check(step, loss)
                total, since = jnp.zeros(()), step
            if kept:
                _checkpoint(settings, step, model, optimizer)
            if stop and not last:
                log.say(f"stopped at step {step}")
                return progress.STOPPED
    model.save(settings.out)
    log.say(f"wrote {settings.out}")
    return 0


def _updater(sigreg: SIGRegConfig) -> _Update:
    """Return the program of one update."""

    def update(
        model: Model, optimizer: Optimizer, tokens: Array, targets: Array, key: Array
    ) -> Array:
        """Update by passes [passes, B, T], drawing from `key`; return their mean loss."""
        graph, parameters = nnx.split(model)
        passes = len(tokens)

        def loss_of(parameters: Tree, tokens: Array, targets: Array, key: Array) -> Array:
            sig_reg = SIGReg(sigreg, nnx.Rngs(key))
            loss, _ = compute_loss(nnx.merge(graph, parameters), sig_reg, tokens, targets)
            return loss

        def add_pass(sums: Tree, inputs: Tree) -> tuple[Tree, None]:
            loss_and_gradients = jax.value_and_grad(loss_of)(parameters, *inputs)
            return jax.tree.map(jnp.add, sums, loss_and_gradients), None

        zeros = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, parameters))
        inputs = (tokens, targets, jax.random.split(key, passes))
        sums, _ = jax.lax.scan(add_pass, zeros, inputs)
        loss: Array
        loss, gradients = jax.tree.map(lambda total: total / passes, sums)
        optimizer.update(model, gradients)
        return loss

    # Weights and moments are updated in place.
    program: _Update = nnx.jit(update, donate_argnums=(0, 1))
    return program


def _optimizer(settings: Settings) -> optax.GradientTransformation:
    # The learning rates are few numbers: a table of them is the schedule.
    rates = jnp.asarray([settings.rate(step) for step in range(settings.steps)], jnp.float32)
    return optax.chain(
        optax.clip_by_global_norm(settings.gradient_norm_max),
        optax.adamw(
            lambda step: rates[step],
            b1=BETAS[0],
            b2=BETAS[1],
            weight_decay=settings.weight_decay,
            mask=lambda tree: jax.tree.map(lambda leaf: leaf.ndim > 1, tree),
        ),
    )


def _place(model: Model, optimizer: Optimizer, mesh: Mesh, parallel: Parallel) -> None:
    """Put weights and moments on the devices: whole on each, or a shard of each tensor on each."""

    def sharding(leaf: Array) -> NamedSharding:
        if parallel == "fsdp":
            for axis, size in enumerate(leaf.shape):
                if size % mesh.size == 0:
                    return NamedSharding(mesh, PartitionSpec(*[None] * axis, "data"))
        return NamedSharding(mesh, PartitionSpec())

    for part in (model, optimizer):
        state = nnx.state(part)
        nnx.update(part, jax.tree.map(lambda leaf: jax.device_put(leaf, sharding(leaf)), state))


def _state(model: Model, optimizer: Optimizer) -> dict[str, Array]:
    """Return all that a checkpoint keeps, by its path."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(nnx.state((model, optimizer)))
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def _checkpoint(settings: Settings, step: int, model: Model, optimizer: Optimizer) -> None:
    if settings.checkpoints is None:
        return
    progress.begin(settings)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(progress.draft(settings) / "state", _state(model, optimizer))
    progress.finish(settings, step)


def _resume(settings: Settings, model: Model, optimizer: Optimizer) -> int:
    """Take up the last checkpoint, where there is one; return its step."""
    checkpoint = progress.last(settings)
    if checkpoint is None:
        return 0
    step, folder = checkpoint
    with ocp.StandardCheckpointer() as checkpointer:
        found = checkpointer.restore(folder / "state", _state(model, optimizer))
    leaves, tree = jax.tree_util.tree_flatten_with_path(nnx.state((model, optimizer)))
    restored = [found[jax.tree_util.keystr(path)] for path, _ in leaves]
    nnx.update((model, optimizer), jax.tree.unflatten(tree, restored))
    return step


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    command = parser("python -m soma_models.v1.flax.train", "Train a model with Flax.")
    add = command.add_argument
    add("--parallel", choices=("replicate", "fsdp"), default="replicate", help="(replicate)")
    given = command.parse_args(arguments)
    try:
        return train(settings_of(given), parallel=given.parallel)
    except (SomaModelsError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
