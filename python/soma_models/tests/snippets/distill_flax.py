rngs = nnx.Rngs(0)
teacher = Model.load_bytes(model_bytes, ModelConfig(dropout_rate=0.0), rngs=rngs)
teacher.eval()

student = Model(ModelConfig(dropout_rate=DROPOUT_RATE), rngs)
student.train()
sig_reg = SIGReg(SIGRegConfig(), rngs)
optimizer = nnx.Optimizer(student, optax.adam(learning_rate=LEARNING_RATE), wrt=nnx.Param)

alpha = 0.5


@nnx.jit
def distill_step(student, teacher, sig_reg, token_ids, targets):
    def loss_fn(student, sig_reg):
        task_loss, student_embed = compute_loss(student, sig_reg, token_ids, targets)
        _, teacher_embed = compute_loss(teacher, sig_reg, token_ids, targets)
        distill_loss = jnp.mean((student_embed - teacher_embed) ** 2)
        loss = alpha * task_loss + (1 - alpha) * distill_loss
        return loss, student_embed

    (loss, _), grads = nnx.value_and_grad(loss_fn, has_aux=True)(student, sig_reg)
    return loss, grads


for ids, tgts in make_batches(MICRO_BATCH_SIZE):
    loss, grads = distill_step(student, teacher, sig_reg, jnp.array(ids), jnp.array(tgts))
    optimizer.update(student, grads)
