"""Nets of keras.applications at two sizes of image, with their own preprocessing where it is part of the net."""

import keras

from .nets import images, net

SIZES = {  # name: two sizes of image, the smallest that the net takes and a larger one
    "VGG16": (32, 48), "ResNet50V2": (32, 64), "InceptionV3": (75, 96), "Xception": (71, 96), "MobileNet": (32, 96),
    "MobileNetV2": (32, 96), "MobileNetV3Small": (32, 96), "EfficientNetB0": (32, 64), "ConvNeXtTiny": (32, 64),
}  # fmt: skip
OWN_RESCALING = ("MobileNetV3", "EfficientNet", "ConvNeXt")  # these take 0 .. 255


def _register(name: str, size: int) -> None:
    @net("keras.applications", f"app_{name}_{size}")
    def build():
        model = getattr(keras.applications, name)(
            weights=None, input_shape=(size, size, 3), classes=10, classifier_activation=None
        )
        return model, images(size, size, 3, high=255.0 if name.startswith(OWN_RESCALING) else 1.0)


for name, sizes in SIZES.items():
    for size in sizes:
        _register(name, size)
