state = await client.get_latest_system_state()

for model in state.model_registry:
    print(model.id, model.embedding)
