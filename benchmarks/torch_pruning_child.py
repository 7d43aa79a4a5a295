"""Halves the channels of two nets with Torch-Pruning: a process of an environment that has it, apart from ours.

`python torch_pruning_child.py FOLDER MULTIPLE` writes NAME-dense.onnx and NAME-pruned.onnx for each net, weights as
initialised, and prints a line of JSON a net: {name, macs: [before, after], parameters: [before, after]}.
"""

import json
import sys
from pathlib import Path

import torch
import torch_pruning
from torch import nn

SHARE = 0.5
SIZES = {"resnet8": 32, "mobilenet_v1": 96}


def unit(before: int, after: int, kernel: int, stride: int = 1, groups: int = 1, act: bool = True) -> nn.Sequential:
    """Return a convolution, its normalization, and a ReLU if `act`."""
    conv = nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=groups == 1)
    return nn.Sequential(conv, nn.BatchNorm2d(after), *([nn.ReLU()] if act else []))


class Block(nn.Module):
    """The basic residual block of MLPerf Tiny's image classifier."""

    def __init__(self, before: int, after: int, stride: int):
        super().__init__()
        self.branch = nn.Sequential(unit(before, after, 3, stride), unit(after, after, 3, act=False))
        self.shortcut = nn.Identity() if before == after else nn.Conv2d(before, after, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.branch(x) + self.shortcut(x))


def resnet8() -> nn.Module:
    """Build the net of `models/resnet.py`: three blocks of 16, 32 and 64 maps."""
    blocks = Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2)
    return nn.Sequential(unit(3, 16, 3), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def mobilenet_v1() -> nn.Module:
    """Build MobileNet v1 at a quarter of its width, as keras.applications has it."""
    maps = [8, 16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256]
    strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]
    body: list[nn.Module] = [unit(3, maps[0], 3, 2)]
    for before, after, stride in zip(maps[:-1], maps[1:], strides, strict=True):
        body += [unit(before, before, 3, stride, groups=before), unit(before, after, 1)]
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(maps[-1], 10))


def main(folder: Path, multiple: int) -> None:
    """Prune each net and write both forms."""
    for build in (resnet8, mobilenet_v1):
        torch.manual_seed(0)
        name, model = build.__name__, build().eval()
        example = torch.randn(1, 3, SIZES[name], SIZES[name])
        written(model, example, folder / f"{name}-dense.onnx")
        before = counted(model, example)
        ends = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
        importance = torch_pruning.importance.GroupMagnitudeImportance(p=1)
        torch_pruning.pruner.BasePruner(
            model, example, importance=importance, pruning_ratio=SHARE, round_to=multiple, ignored_layers=ends
        ).step()
        after = counted(model, example)
        written(model, example, folder / f"{name}-pruned.onnx")
        row = {key: [before[key], after[key]] for key in before}
        print(json.dumps({"name": name, **row}), flush=True)


def counted(model: nn.Module, example: torch.Tensor) -> dict[str, int]:
    """Count the multiply-adds of convolutions and products alone, as the other side does, and the parameters."""
    macs = 0

    def count(layer: nn.Module, given: object, output: torch.Tensor) -> None:
        nonlocal macs
        macs += output.numel() * layer.weight[0].numel()

    hooks = [
        layer.register_forward_hook(count) for layer in model.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))
    ]
    model(example)
    for hook in hooks:
        hook.remove()
    return {"macs": macs, "parameters": sum(each.numel() for each in model.parameters())}


def written(model: nn.Module, example: torch.Tensor, path: Path) -> None:
    """Write a model as ONNX, its batch normalization folded by the exporter's own passes."""
    torch.onnx.export(model, (example,), str(path), input_names=["x"], output_names=["y"], dynamo=True,
                      external_data=False, verbose=False)  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
