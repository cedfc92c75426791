beta = 0.3  # how much of the competitor to mix in

my_state = nnx.state(my_model)
their_state = nnx.state(competitor)
merged = jax.tree.map(
    lambda mine, theirs: (1 - beta) * mine + beta * theirs,
    my_state,
    their_state,
)
nnx.update(my_model, merged)
