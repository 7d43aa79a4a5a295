"""Devices: how they are reached (transport, local), what runs there (agent), what is measured (measure, results), what
it means (intervals, compare), and how it is shown (report, charts)."""
