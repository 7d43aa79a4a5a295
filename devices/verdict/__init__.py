"""Statistics over raw samples: intervals, warnings, verdicts, regressions."""
