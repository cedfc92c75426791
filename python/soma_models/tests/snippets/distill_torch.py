teacher = Model.load_bytes(model_bytes, ModelConfig(dropout_rate=0.0)).to(device)
teacher.eval()

student = Model(ModelConfig(dropout_rate=DROPOUT_RATE)).to(device)
student.train()
sig_reg = SIGReg(SIGRegConfig()).to(device)

alpha = 0.5  # balance between task loss and distillation loss

for ids, tgts in make_batches(MICRO_BATCH_SIZE):
    token_ids = torch.tensor(ids, device=device)
    targets = torch.tensor(tgts, device=device)

    # Student's standard loss
    task_loss, student_embed = compute_loss(student, sig_reg, token_ids, targets)

    # Teacher's embedding (no grad)
    with torch.no_grad():
        _, teacher_embed = compute_loss(teacher, sig_reg, token_ids, targets)

    # Distillation: pull student embedding toward teacher
    distill_loss = torch.nn.functional.mse_loss(student_embed, teacher_embed)

    loss = alpha * task_loss + (1 - alpha) * distill_loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
