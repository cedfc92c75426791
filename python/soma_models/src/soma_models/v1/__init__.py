"""V1: a byte-level, pre-norm, causal transformer (docs/scoring-spec.md)."""
