async def update(client, kp, model_id):
    # 1. Encrypt new weights
    new_weights = open("weights-v2.safetensors", "rb").read()
    enc_weights, dec_key = SomaClient.encrypt_weights(new_weights)

    # 2. Upload to storage
    new_url = "https://your-storage.example.com/weights-v2.enc"
    # ... upload enc_weights ...

    # 3. Embedding from compute_loss on held-out data
    new_embedding = [...]

    # 4. Commit update (epoch N)
    await client.commit_model_update(
        signer=kp,
        model_id=model_id,
        weights_url=new_url,
        encrypted_weights=enc_weights,
    )

    # 5. Reveal update (epoch N+1)
    await client.wait_for_next_epoch()

    await client.reveal_model_update(
        signer=kp,
        model_id=model_id,
        weights_url=new_url,
        encrypted_weights=enc_weights,
        decryption_key=dec_key,
        embedding=new_embedding,
    )
    print("Update revealed — new weights active")
