import asyncio
import os

from soma_sdk import SomaClient, Keypair

WEIGHTS_PATH = "model-final.safetensors"
WEIGHTS_URL = "https://your-storage.example.com/weights.enc"
COMMISSION_RATE = 1000 # 10% (basis points: 100 = 1%, max 10000)

async def run():
    kp = Keypair.from_secret_key(os.environ["SOMA_SECRET_KEY"])
    client = await SomaClient(chain="testnet")

    # 1. Encrypt weights
    weights = open(WEIGHTS_PATH, "rb").read()
    encrypted_weights, decryption_key = SomaClient.encrypt_weights(weights)
    print(f"Encrypted {len(weights)} bytes")

    # 2. Upload encrypted weights to storage (S3, R2, etc.)
    # ... upload encrypted_weights to WEIGHTS_URL ...

    # 3. Compute embedding (from compute_loss on held-out data)
    embedding = [...] # list[float] from training

    # 4. Commit on-chain (epoch N)
    model_id = await client.commit_model(
        signer=kp,
        weights_url=WEIGHTS_URL,
        encrypted_weights=encrypted_weights,
        commission_rate=COMMISSION_RATE,
    )
    print(f"Committed model: {model_id}")

    # 5. Wait for next epoch, then reveal (epoch N+1)
    await client.wait_for_next_epoch()

    await client.reveal_model(
        signer=kp,
        model_id=model_id,
        weights_url=WEIGHTS_URL,
        encrypted_weights=encrypted_weights,
        decryption_key=decryption_key,
        embedding=embedding,
    )
    print(f"Revealed model: {model_id} — now active and competing")

asyncio.run(run())
