import modal

app = modal.App("soma-auto-update")
volume = modal.Volume.from_name("soma-training-data", create_if_missing=True)

image = (
    modal.Image.debian_slim(python_version="3.13")
    .pip_install("soma-sdk>=0.1.7", "soma-models[torch]>=0.1.7", "datasets>=3.0", "torch>=2.0")
)

@app.function(
    image=image,
    gpu="A100",
    volumes={"/training": volume},
    secrets=[modal.Secret.from_name("soma-keypair")],
    timeout=86400,
    schedule=modal.Cron("0 */6 * * *"),  # every 6 hours
)
async def train_and_update():
    # 1. Resume from latest checkpoint
    # 2. Train for N more steps
    # 3. Save checkpoint
    # 4. Encrypt + upload weights
    # 5. commit_model_update / wait_for_next_epoch / reveal_model_update
    ...
