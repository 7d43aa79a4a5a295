"""Maps of a net whose weights are numbers, to be made on either backend."""

import numpy as np
from edgewright.inspection import maps
from edgewright.inspection.net import Net
from edgewright.models import registry
from edgewright.quantize import find_quantized, prepare_qat


def found():
    """Return guided backpropagation and Grad-CAM of the float net and the quantized one, as lists."""
    model = registry.build("saliency", "edge", input_shape=(12, 12, 1), classes=3)
    for number, weight in enumerate(model.weights):
        weight.assign(np.random.default_rng(number).normal(size=weight.shape))
    x, classes = np.random.default_rng(0).random((6, 12, 12, 1), np.float32), np.arange(6) % 3
    layer, made = find_quantized(prepare_qat(model, calibration=x)[0]), []
    for quantize in (False, True):
        net = Net(name="net", layer=layer, quantize=quantize)
        made.append(maps.backward(net, x, classes, maps.guided_rule))
        made.append(maps.grad_cam(net, x, classes, net.place("conv_3")))
    return [each.tolist() for each in made]
