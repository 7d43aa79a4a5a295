"""The verb `devices`: which there are, what they have, and what they need fetched."""

from collections.abc import Callable
from typing import Any

from ..devices.asking import described
from ..devices.report.report import table
from ..devices.runtimes import environments
from ..devices.transports import inventory
from ..devices.transports.transport import TRANSPORTS, build, connect
from ..errors import BadInput
from ..progress import say
from .arguments import Answer

_HEAD = ("device", "cpu", "cores", "memory", "runtimes", "int8 features", "governor")
_OF_CONFIG = ("litert", "tflite-runtime")  # the caller's choice; other devices have but one
_READY = ("local", "qemu-x86_64")  # need no setup
_CHECKED = ("litert", "tflite-runtime", "tflite-micro", "litert.js")  # the runtimes of .tflite files


def act(action: str, name: str | None, url: str | None) -> Answer:
    """Do what the command line asks.  Raises: BadInput for an action with too few or too many words."""
    actions: dict[str, tuple[Callable[..., Answer], int]] = {
        "list": (listed, 0), "probe": (probe, 1), "add": (add, 2), "setup": (set_up, 1), "remove": (remove, 1),
    }  # fmt: skip
    chosen, words = actions[action]
    given = [word for word in (name, url) if word is not None]
    if len(given) != words:
        usage = " ".join(["edgewright devices", action, *("NAME", "URL")[:words]])
        raise BadInput(f"devices {action} takes {words} more words, {len(given)} given; write `{usage}`")
    return chosen(*given)


def listed() -> Answer:
    """List our own devices and those of the inventory."""
    rows = [{"name": name, "url": name, "options": {}, "state": _state(name)} for name in _own_names()]
    rows += [
        {"name": name, "url": entry.url, "options": dict(entry.options), "state": _state(entry.scheme)}
        for name, entry in inventory.load().items()
    ]
    cells = [(row["name"], row["url"], _options(row["options"]), row["state"]) for row in rows]
    return Answer(document=rows, text=table(("device", "reached by", "options", "state"), cells))


def add(name: str, url: str) -> Answer:
    """Record a device; that it can be reached is for `probe` to find out."""
    inventory.check_name(name)
    if name in TRANSPORTS:
        raise BadInput(f"NAME={name!r} is a device of our own; choose another name")
    if "://" not in url:
        raise BadInput(f"URL={url!r} must be scheme://address, such as ssh://pi@board?python=/home/pi/env/bin/python")
    entry = inventory.Entry.read(url)
    build(entry, name)
    inventory.add(name, entry)
    text = f"{name}: {entry.url}, recorded in {inventory.path()}; try it by `edgewright devices probe {name}`"
    return Answer(document={"name": name, "url": entry.url, "options": dict(entry.options)}, text=text)


def remove(name: str) -> Answer:
    """Forget a device."""
    inventory.remove(name)
    return Answer(document={"removed": name}, text=f"{name} is forgotten")


def set_up(name: str) -> Answer:
    """Fetch what a device needs."""
    from ..pipeline import kernel_check

    found = environments.set_up(name, kernel_check.verified)
    place = environments.folder(name)
    return Answer(document={"name": name, "folder": str(place), "found": found}, text=f"{name}: {found}, in {place}")


def probe(name: str) -> Answer:
    """Ask a device what it has, and whether it computes rightly. Raises: EdgewrightError if it does not answer."""
    transport = connect(name)
    found = described(transport)
    from ..pipeline import kernel_check

    document = {"name": name, "emulated": transport.emulated, **found}
    text = table(_HEAD, [_cells(document)])
    runtime = next((each for each in _CHECKED if found["runtimes"].get(each)), None)
    if runtime is None:
        say(f"{name} has no runtime for .tflite files (pip install ai-edge-litert): its kernels were not checked")
        return Answer(document=document, text=text)
    judged = kernel_check.check(transport, runtime if runtime in _OF_CONFIG else "litert")
    document["kernels"] = {"ok": judged.ok, "steps": judged.steps, "equal": judged.equal, "inputs": judged.n}
    return Answer(document=document, text=f"{text}\n{judged}", ok=judged.ok)


def _cells(found: dict[str, Any]) -> tuple[str, ...]:
    memory = found.get("memory_bytes")
    runtimes = [f"{name} {version}" for name, version in found["runtimes"].items() if version]
    return (
        found["name"], found["cpu"], str(found["cores"]), f"{memory / 2**30:.1f} GiB" if memory else "not said",
        ", ".join(runtimes) or "none", " ".join(found["features"]), found.get("governor") or "not said",
    )  # fmt: skip


def _own_names() -> list[str]:
    """Devices that need no entry: this machine, and what `setup` fetches."""
    return [*_READY, *environments.SETUPS]


def _state(name: str) -> str:
    if name not in environments.SETUPS or environments.ready(name):
        return "ready" if name in (*_READY, *environments.SETUPS) else "not probed"
    return f"run `edgewright devices setup {name}`"


def _options(options: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in options.items())
