"""A run's logs: JSON lines, a TensorBoard event file, the learning curve.

The events are written with TensorBoard's own record format, without its writer: that one imports TensorFlow (6 s), of
which a run on JAX has no other use.
"""

import io
import json
import time
from collections.abc import Iterable
from pathlib import Path

from ..files import naming


class Logs:
    """Appends epochs to history.jsonl and the event file; both start anew from `history`, so a resume repeats none."""

    def __init__(self, folder: Path, history: Iterable[dict[str, float]]):
        from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._folder = Event, folder
        with naming(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._lines = (folder / "history.jsonl").open("w")
            self._records = RecordWriter((folder / "events.out.tfevents.0.edgewright").open("wb"))
            self._records.write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
        for row in history:
            self.add(row)

    def add(self, row: dict[str, float]) -> None:
        """Write one epoch, and flush, so that a crash loses nothing and TensorBoard sees it."""
        values = [{"tag": name, "simple_value": value} for name, value in row.items() if name != "epoch"]
        event = self._event(wall_time=time.time(), step=int(row["epoch"]), summary={"value": values})
        with naming(self._folder):
            self._lines.write(json.dumps(row) + "\n")
            self._lines.flush()
            self._records.write(event.SerializeToString())
            self._records.flush()

    def close(self) -> None:
        """Close both files."""
        self._lines.close()
        self._records.close()


def curve(history: list[dict[str, float]]) -> str:
    """Draw what was logged against the epoch, one panel a quantity, training and validation in it. Returns SVG."""
    import matplotlib
    from matplotlib.figure import Figure

    epochs = [row["epoch"] for row in history]
    shown = [name for name in history[0] if f"val_{name}" in history[0]] if history else []
    with matplotlib.rc_context({"svg.hashsalt": "edgewright", "font.size": 9}):
        width, height = 4.2 * max(1, len(shown)), 2.8  # inches
        figure = Figure(figsize=(width, height))
        # Margins are fixed: to find some that fit takes as long as to draw.
        figure.subplots_adjust(left=0.6 / width, right=1 - 0.1 / width, bottom=0.5 / height, top=1 - 0.1 / height,
                               wspace=0.25)  # fmt: skip
        for k, name in enumerate(shown):
            axes = figure.add_subplot(1, len(shown), k + 1)
            axes.plot(epochs, [row[name] for row in history], label="training")
            axes.plot(epochs, [row[f"val_{name}"] for row in history], label="validation")
            axes.set(xlabel="epoch", ylabel=name)
            axes.grid(alpha=0.3)
            axes.legend(frameon=False, loc="upper right")
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()
