"""Operations by what they do to values and shapes."""

ELEMENTWISE = frozenset({"Add", "Subtract", "Multiply", "Maximum", "Minimum"})
COMPARISONS = frozenset({"Equal", "NotEqual", "Greater", "GreaterEqual", "Less", "LessEqual", "Where"})
RESHAPES = frozenset({"Reshape", "Squeeze", "ExpandDims"})
MOVEMENT = RESHAPES | {"Transpose", "Swapaxes"}
