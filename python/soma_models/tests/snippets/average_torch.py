beta = 0.3  # how much of the competitor to mix in

for p_mine, p_theirs in zip(my_model.parameters(), competitor.parameters()):
    p_mine.data.lerp_(p_theirs.data, beta)
