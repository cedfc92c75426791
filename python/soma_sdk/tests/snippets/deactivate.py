await client.deactivate_model(signer, model_id)
