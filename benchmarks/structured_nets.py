"""Every net of keras.applications and nets of many other shapes lose channels: is what is built again the masked net?

One JSON line a net: groups found, processor seconds of tracing and of the search for what goes together, and how far
the rebuilt net is from the masked one at shares of 0, 30% and 70% (largest output = 1), scope and criterion drawn.
python benchmarks/structured_nets.py [NAME...]; without names all of them.
"""

import argparse
import gc
import json
import random
import sys
import time
import types
import zlib
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from edgewright.prune import ChannelConfig, prune_channels
from edgewright.prune.structured.units import Anatomy
from edgewright.quantize.graph.tracing import trace_calls

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from image_nets import IMAGE_NETS
from many_nets import NETS, build_net
from sequence_nets import SEQUENCE_NETS, deep_attention

BAR, SECONDS = 1e-5, 10.0
SIZES = (32, 71, 75, 224, 331)
DEEP = 24
CRITERIA = ("l1", "l2", "bn_scale", "random", "activation")


def applications() -> list[str]:
    """Return the names of the nets that Keras has."""
    return [name for name, made in vars(keras.applications).items() if isinstance(made, types.FunctionType)]


def application(name: str) -> keras.Model:
    """Return a net of Keras on the smallest images that it takes, with statistics as training leaves them."""
    for size in SIZES:
        try:
            model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=10,
                                                      classifier_activation=None)  # fmt: skip
            break
        except ValueError:  # too small for it
            keras.backend.clear_session()
    random_ = np.random.default_rng(0)
    for weight in model.weights:
        if weight.path.endswith("beta"):
            weight.assign(random_.normal(0, 0.1, weight.shape))
        elif weight.path.endswith("gamma"):
            weight.assign(random_.uniform(0.8, 1.2, weight.shape))
    calibrate(model)
    return model


def calibrate(model: keras.Model) -> None:
    """Give batch norms the statistics of noisy images; in a fresh net no signal reaches the end of a deep one.

    No variance is left below the median of its layer: the channel of a map of one pixel that hardly varies over a few
    images would amplify rounding until the net differs from itself.
    """
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    model(np.random.default_rng(1).uniform(0, 255, (8, *model.input_shape[1:])).astype("float32"), training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
        variance = np.asarray(layer.moving_variance)
        layer.moving_variance.assign(np.maximum(variance, np.median(variance)))


def nets() -> dict[str, Callable[[], keras.Model]]:
    """Return by name how each net is made."""
    shapes = {make.__name__: lambda make=make: build_net(make) for make in (*NETS, *IMAGE_NETS, *SEQUENCE_NETS)}
    shapes[f"deep_attention_{DEEP}"] = lambda: build_net(lambda: deep_attention(DEEP))
    return shapes | {name: lambda name=name: application(name) for name in applications()}


def searched(model: keras.Model) -> dict:
    """Return how long tracing and the search take, in processor seconds, and what they find."""
    marks = [time.process_time()]
    trace = trace_calls(model)
    marks.append(time.process_time())
    anatomy = Anatomy(trace)
    marks.append(time.process_time())
    trace_s, search_s = (round(float(each), 2) for each in np.diff(marks))
    return {"nodes": len(trace.graph.nodes), "groups": len(anatomy.groups), "trace_s": trace_s, "search_s": search_s}


def examine(name: str, model: keras.Model) -> dict:
    """Return one row."""
    row = {"name": name, "parameters": model.count_params(), **searched(model)}
    drawn = random.Random(zlib.crc32(name.encode()))
    scopes = drawn.sample(("group", "global"), 2)
    for share, scope in ((0.0, "group"), (0.3, scopes[0]), (0.7, scopes[1])):
        criterion = drawn.choice(CRITERIA)
        config = ChannelConfig(channels=share, scope=scope, criterion=criterion)
        draws = np.random.default_rng(0)
        most = 256 if hasattr(keras.applications, name) else 2
        given = [
            draws.integers(0, most, (2, *(size or 16 for size in x.shape[1:]))).astype(x.dtype) for x in model.inputs
        ]
        try:
            started = time.process_time()
            smaller, report = prune_channels(model, config, samples=given)
            prune_s = time.process_time() - started
        except Exception as error:
            return row | {"error": f"{share}: {error!r}", "ok": False}
        refused = sorted({group.reason for group in report.groups if "cannot be built" in group.reason})
        row[f"at_{share}"] = {
            "scope": scope, "criterion": criterion, "deviation": report.deviation, "prune_s": round(prune_s, 1),
            "cut": sum(group.after < group.before for group in report.groups), "refused": refused,
            "parameters": smaller.count_params() / model.count_params(),
        }  # fmt: skip
        del smaller
        gc.collect()
    apart = max(row[f"at_{share}"]["deviation"] for share in (0.0, 0.3, 0.7))
    same = row["at_0.0"]["parameters"] == 1
    return row | {"deviation": apart, "ok": apart <= BAR and same and row["search_s"] <= SECONDS}


def main() -> int:
    """Print one line a net; 0 if every bar is cleared."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="default: all")
    known = nets()
    cleared = True
    for name in parser.parse_args().names or known:
        row = examine(name, known[name]())
        cleared &= row["ok"]
        print(json.dumps(row), flush=True)
        keras.backend.clear_session()
        gc.collect()
    return 0 if cleared else 1


if __name__ == "__main__":
    sys.exit(main())
