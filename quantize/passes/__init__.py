"""Rewrites of a traced graph, one subject a file."""
