"""The verb that looks at what a network looks at."""

from pathlib import Path
from typing import Annotated

from . import inputs
from .arguments import Answer
from .loading import with_keras
from .options import Import, KerasFile, Seed

METHODS = (
    "activation_gradient", "activation_maximisation", "adversarial_fgsm", "attention_distance", "deconvnet",
    "filter_maps", "grad_cam", "guided_backprop", "guided_grad_cam", "saliency", "saliency_mask", "targeted_attack",
    "tsne_features",
)  # fmt: skip


def inspect(
    model: KerasFile,
    *,
    data: Annotated[str, "data set or pkg.module:function whose test samples are looked at", inputs.data],
    method: Annotated[
        list[str] | None, f"ways to look, of {', '.join(METHODS)}; default: saliency and adversarial_fgsm",
        inputs.named(*METHODS),
    ] = None,
    out: Annotated[str | None, "folder for figures and a page of pictures", inputs.out_folder] = None,
    against: Annotated[
        str | None, "of a quantization-aware model, the float one that it was made of; default: its own weights",
        inputs.keras_file,
    ] = None,
    samples: Annotated[int, "how many samples, the first", inputs.at_least(2)] = 64,
    layer: Annotated[str | None, "look inside at this layer; default: the method's choice"] = None,
    unit: Annotated[int | None, "at this channel of it; default: the one that says most", inputs.at_least(0)] = None,
    epsilon: Annotated[
        list[str] | None, "how far adversarial_fgsm moves a pixel, as a share of the range; default: 0.05, 0.1, 0.25",
        inputs.written_share,
    ] = None,
    target: Annotated[
        int | None, "class that targeted_attack is to reach; default: the one after a sample's own", inputs.at_least(0)
    ] = None,
    seed: Seed = 0,
    import_: Import = None,
) -> Answer:  # fmt: skip
    """Show what a classifier of images looks at and what fools it, in float and quantized, side by side."""
    verbs = with_keras("cli.verbs", import_)
    chosen = {} if epsilon is None else {"epsilon": tuple(map(float, epsilon))}
    return verbs.inspect(model, method or ["saliency", "adversarial_fgsm"], None if out is None else Path(out),
                         data=data, against=against, samples=samples, layer=layer, unit=unit, target=target, seed=seed,
                         **chosen)  # fmt: skip
