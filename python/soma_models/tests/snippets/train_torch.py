@app.function(image=image, gpu="A100", timeout=86400, volumes={MODEL_DIR: volume})
def train(num_steps: int = 10_000):
    import torch
    from soma_models.v1.torch import Model, ModelConfig, SIGReg, SIGRegConfig, compute_loss

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = Model(ModelConfig(dropout_rate=DROPOUT_RATE)).to(device)
    model.train()
    sig_reg = SIGReg(SIGRegConfig()).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)

    batches = make_batches(MICRO_BATCH_SIZE)

    for step in range(num_steps):
        optimizer.zero_grad()
        accum_loss = 0.0

        for micro in range(GRAD_ACCUM_STEPS):
            ids, tgts = next(batches)
            token_ids = torch.tensor(ids, device=device)
            targets = torch.tensor(tgts, device=device)

            loss, embedding = compute_loss(model, sig_reg, token_ids, targets)
            (loss / GRAD_ACCUM_STEPS).backward()
            accum_loss += loss.item()

        optimizer.step()

        if step > 0 and step % CHECKPOINT_EVERY == 0:
            model.save(f"{MODEL_DIR}/checkpoint-{step}.safetensors")
            volume.commit()

    model.save(f"{MODEL_DIR}/model-final.safetensors")
    volume.commit()
