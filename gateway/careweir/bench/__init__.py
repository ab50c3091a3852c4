"""Benchmarks that print ratios: each figure beside a baseline of the same run and its budget."""
