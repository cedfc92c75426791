"""Seconds that numpy takes to multiply a table of f32 rows by one target and by a batch, the best of several runs."""

import sys
import time

import numpy

rows, dim, batch, runs = map(int, sys.argv[1:])
table = numpy.random.default_rng(1).standard_normal((rows, dim), dtype=numpy.float32)
targets = numpy.random.default_rng(2).standard_normal((batch, dim), dtype=numpy.float32)


def best(count: int) -> float:
    """Seconds for `count` targets."""
    chosen, times = targets[:count].T.copy(), []
    for _ in range(runs):
        start = time.perf_counter()
        table @ chosen
        times.append(time.perf_counter() - start)
    return min(times)


print(best(1), best(batch))
