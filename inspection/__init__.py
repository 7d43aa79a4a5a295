"""What a network looks at and how easily it is fooled, in float and as its integer kernels compute it, side by side.

Neither shows in an accuracy.
"""
