"""Classifiers that are looked at: what a device can show of one beside its answer, and what needs gradients instead.

`edgewright inspect` looks at any classifier of images; these are the rows of the zoo for its methods.
"""

from collections.abc import Sequence

from keras import KerasTensor, layers

from .registry import register

GRADIENTS = "none: needs gradients, which stay in float Keras; `edgewright inspect` takes them of any classifier"
TOGETHER = "none: places on a plane are found for all samples together, by no network; `edgewright inspect` shows them"


@register(
    task="classification",
    input_shape=(28, 28, 1),
    classes=10,
    params=56_384,
    paper="Selvaraju 2017, Grad-CAM: visual explanations from deep networks, arXiv:1610.02391, section 3.1",
    data=("mnist", "digits"),
    edge={"widths": (8, 16, 32)},
    variants={
        "filter_maps": {
            "params": 56_384,
            "shows": "maps",
            "paper": "Zeiler and Fergus 2014, Visualizing and understanding convolutional networks, arXiv:1311.2901, "
            "section 4",
        },
        "saliency": {
            "params": 56_384,
            "shows": None,
            "deploy": GRADIENTS,
            "paper": "Simonyan 2014, Deep inside convolutional networks, arXiv:1312.6034",
        },
        "saliency_mask": {
            "params": 56_384,
            "shows": None,
            "deploy": GRADIENTS,
            "paper": "Simonyan 2014, Deep inside convolutional networks, arXiv:1312.6034, section 3.2",
        },
        "activation_gradient": {
            "params": 56_384,
            "shows": None,
            "deploy": GRADIENTS,
            "paper": "Erhan 2009, Visualizing higher-layer features of a deep network",
        },
        "deconvnet": {
            "params": 56_384,
            "shows": None,
            "deploy": GRADIENTS,
            "paper": "Zeiler and Fergus 2014, Visualizing and understanding convolutional networks, arXiv:1311.2901",
        },
        "guided_backprop": {
            "params": 56_384,
            "shows": None,
            "deploy": GRADIENTS,
            "paper": "Springenberg 2015, Striving for simplicity: the all convolutional net, arXiv:1412.6806",
        },
        "guided_grad_cam": {
            "params": 56_384,
            "shows": None,
            "deploy": GRADIENTS,
            "paper": "Selvaraju 2017, arXiv:1610.02391, section 3.2",
        },
        "activation_maximisation": {
            "params": 56_384,
            "shows": None,
            "deploy": GRADIENTS,
            "paper": "Simonyan 2014, arXiv:1312.6034, section 2; Yosinski 2015, arXiv:1506.06579",
        },
        "adversarial_fgsm": {
            "params": 56_384,
            "shows": None,
            "deploy": GRADIENTS,
            "paper": "Goodfellow 2015, Explaining and harnessing adversarial examples, arXiv:1412.6572",
        },
        "targeted_attack": {
            "params": 56_384,
            "shows": None,
            "deploy": GRADIENTS,
            "paper": "Szegedy 2014, Intriguing properties of neural networks, arXiv:1312.6199",
        },
        "tsne_features": {
            "params": 56_384,
            "shows": None,
            "deploy": TOGETHER,
            "paper": "van der Maaten and Hinton 2008, Visualizing data using t-SNE",
        },
    },
)
def grad_cam(
    inputs: KerasTensor, classes: int, widths: Sequence[int] = (32, 64, 64), shows: str | None = "cam"
):  # fmt: skip
    """Build a convolution with ReLU for each width, pools between, the mean over positions and a dense layer.

    shows: "cam", where the last maps speak for each class: Grad-CAM of such a net, whose gradients are the dense
    layer's weights over the number of positions, so that the map runs in int8; "maps", those of each convolution; None.
    Shapes: images (N, H, W, C) -> logits (N, classes), or a dict of "logits" and "cam" (N, h, w, classes), or "maps_1"
    (N, H, W, widths[0]) and so on.
    """
    x, maps = inputs, {}
    for index, width in enumerate(widths, 1):
        x = layers.Conv2D(width, 3, padding="same", activation="relu", name=f"conv_{index}")(x)
        maps[f"maps_{index}"] = x
        if index < len(widths):
            x = layers.MaxPooling2D(2, name=f"pool_{index}")(x)
    dense = layers.Dense(classes, use_bias=False, name="scores")
    pooled = layers.GlobalAveragePooling2D(name="pool")(x)
    logits = layers.Identity(name="logits")(dense(pooled))
    if shows == "maps":
        return {"logits": logits, **maps}
    if shows == "cam":
        return {"logits": logits, "cam": layers.ReLU(name="cam")(dense(x))}
    return logits
