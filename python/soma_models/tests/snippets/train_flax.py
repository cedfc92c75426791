@app.function(image=image, gpu="H100", timeout=86400, volumes={MODEL_DIR: volume})
def train(num_steps: int = 10_000):
    import jax
    import jax.numpy as jnp
    import optax
    from flax import nnx
    from soma_models.v1.flax import Model, ModelConfig, SIGReg, SIGRegConfig, compute_loss

    rngs = nnx.Rngs(0)
    model = Model(ModelConfig(dropout_rate=DROPOUT_RATE), rngs)
    model.train()
    sig_reg = SIGReg(SIGRegConfig(), rngs)
    optimizer = nnx.Optimizer(model, optax.adam(learning_rate=LEARNING_RATE), wrt=nnx.Param)

    @nnx.jit
    def micro_step(model, sig_reg, token_ids, targets):
        def loss_fn(model, sig_reg):
            return compute_loss(model, sig_reg, token_ids, targets)

        (loss, embedding), grads = nnx.value_and_grad(loss_fn, has_aux=True)(model, sig_reg)
        return loss, embedding, grads

    batches = make_batches(MICRO_BATCH_SIZE)

    for step in range(num_steps):
        accum_loss = jnp.zeros(())
        accum_grads = None

        for micro in range(GRAD_ACCUM_STEPS):
            ids, tgts = next(batches)
            loss, embedding, grads = micro_step(model, sig_reg, jnp.array(ids), jnp.array(tgts))
            accum_loss = accum_loss + loss
            accum_grads = grads if accum_grads is None else jax.tree.map(jnp.add, accum_grads, grads)

        accum_grads = jax.tree.map(lambda g: g / GRAD_ACCUM_STEPS, accum_grads)
        optimizer.update(model, accum_grads)

        if step > 0 and step % CHECKPOINT_EVERY == 0:
            model.save(f"{MODEL_DIR}/checkpoint-{step}.safetensors")
            volume.commit()

    model.save(f"{MODEL_DIR}/model-final.safetensors")
    volume.commit()
