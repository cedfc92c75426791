await client.add_stake_to_model(signer, model_id, amount=10.0)
