targets = await client.get_targets(status="filled", limit=50)

for target in targets:
    data = await client.fetch_submission_data(target.id)
    # Score your model vs the winning model on this data
    # High loss = domain gap worth training on
