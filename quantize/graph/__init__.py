"""The graph of `keras.ops` operations that a model is traced to, and how it is traced."""
