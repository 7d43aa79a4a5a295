"""The zoo: architectures by name. Leaf package: no training, no input or output."""
