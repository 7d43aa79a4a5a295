"""Style transfer: what scores an image by content and style, and a net that gives images one style."""

from keras import KerasTensor

from .image_translation import repainted
from .registry import Bars, register
from .scoring import scored

FAMILY = "dense"


@register(
    task="style_scoring",
    input_shape=(32, 32, 3),
    classes=10,
    params=288_298,
    paper="Gatys 2016, Image style transfer using convolutional neural networks, arXiv:1508.06576; of a small net that "
    "is trained here",
    data=("cifar10", "digits"),
    edge={"input_shape": (16, 16, 1), "widths": (16, 32)},
    bars=Bars(floor=0.2),
)
def pixel_style_transfer(inputs: KerasTensor, classes: int, widths: tuple[int, ...] = (32, 64, 128)):
    """Build the classifier whose maps say what is in an image and in which style it is.

    It scores images; `training.learners.style.stylised` descends on the pixels of one, on the host in float.
    Shapes: images (N, H, W, C) -> label (N, classes), logits; features (N, h, w, the last width), the content; gram_1
    and on (N, C, C), one a width, the style.
    """
    return scored(inputs, classes, widths)


@register(
    task="stylisation",
    learner="perceptual",
    input_shape=(256, 256, 3),
    params=1_679_235,
    paper="Johnson 2016, Perceptual losses for real-time style transfer and super-resolution, arXiv:1603.08155; norms "
    "of images by themselves, Ulyanov 2016, arXiv:1607.08022; padded by zeros",
    data=("cifar10", "digits"),
    learning_rate=1e-3,
    edge={"input_shape": (16, 16, 1), "width": 8, "blocks": 1},
)
def feed_forward_style_transfer(inputs: KerasTensor, width: int = 32, blocks: int = 5):
    """Build a net that gives an image the one style that it was trained for.

    width: maps of the first layer; two more double them and halve the sides, on which the residual blocks work.
    Shapes: images (N, H, W, C) in [0, 1] -> the same.
    """
    return repainted(inputs, width, blocks, window=9, scaled=True, end="sigmoid")
