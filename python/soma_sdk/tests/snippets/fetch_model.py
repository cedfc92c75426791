from soma_sdk import SomaClient

client = await SomaClient(chain="testnet")

model_bytes = await client.fetch_model(model_id="0xABC...")
