"""What the inputs and outputs of a file are called: as Keras calls them (see `ends`)."""

from ..ends import input_names, output_names

__all__ = ["input_names", "output_names"]
