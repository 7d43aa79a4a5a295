"""Structured pruning: whole channels, heads, hidden and recurrent units leave a model, which is built again without."""
