"""Keras' operations and trees without the types that a checker infers for them: by those, any may return None."""

from typing import Any

from keras import ops as _ops
from keras import tree as _tree

ops: Any = _ops
tree: Any = _tree

__all__ = ["ops", "tree"]
