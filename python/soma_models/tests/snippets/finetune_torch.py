# Load competitor as starting point
competitor = Model.load_bytes(model_bytes, ModelConfig(dropout_rate=DROPOUT_RATE))
competitor = competitor.to(device)
competitor.train()

# Train as usual — the model starts from a better position
sig_reg = SIGReg(SIGRegConfig()).to(device)
optimizer = torch.optim.Adam(competitor.parameters(), lr=LEARNING_RATE)

for ids, tgts in make_batches(MICRO_BATCH_SIZE):
    token_ids = torch.tensor(ids, device=device)
    targets = torch.tensor(tgts, device=device)
    loss, embedding = compute_loss(competitor, sig_reg, token_ids, targets)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
