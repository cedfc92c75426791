# Load competitor as starting point
rngs = nnx.Rngs(0)
competitor = Model.load_bytes(model_bytes, ModelConfig(dropout_rate=DROPOUT_RATE), rngs=rngs)
competitor.train()

sig_reg = SIGReg(SIGRegConfig(), rngs)
optimizer = nnx.Optimizer(competitor, optax.adam(learning_rate=LEARNING_RATE), wrt=nnx.Param)


@nnx.jit
def step(model, sig_reg, token_ids, targets):
    def loss_fn(model, sig_reg):
        return compute_loss(model, sig_reg, token_ids, targets)

    (loss, embedding), grads = nnx.value_and_grad(loss_fn, has_aux=True)(model, sig_reg)
    return loss, embedding, grads


for ids, tgts in make_batches(MICRO_BATCH_SIZE):
    loss, embedding, grads = step(competitor, sig_reg, jnp.array(ids), jnp.array(tgts))
    optimizer.update(competitor, grads)
