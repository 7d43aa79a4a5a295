"""What a target makes of a model file before it is there: whether it fits, and what its compiler says."""
