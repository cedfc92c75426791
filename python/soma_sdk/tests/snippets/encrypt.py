encrypted_weights, decryption_key = SomaClient.encrypt_weights(weights)
