"""What both trainers share: settings, the stream of text, the log.

`soma_models.v1.torch.train` and `soma_models.v1.flax.train` are reference trainers: programs to run
as they are, short enough to copy and change. Equal settings, text and first weights give equal
updates in both, and in `soma train`, to float error; what is drawn (order, dropout, directions) is
drawn differently.
"""
