await client.set_model_commission_rate(signer, model_id, new_rate=500)
