"""Nets that others built or whose structure is public, for `benchmarks/foreign_models.py`: one small function each."""
