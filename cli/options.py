"""Arguments that several verbs take: their type, what help says of them, and the checks before any work."""

from typing import Annotated, Literal

from . import inputs

Model = Annotated[str, "name of the zoo (see `edgewright models`), pkg.module:function, or a .keras file", inputs.model]
KerasFile = Annotated[str, ".keras file of a trained model", inputs.keras_file]
KerasOut = inputs.keras_out
Data = Annotated[
    str | None, "name of a data set or pkg.module:function; default: the model's first available one", inputs.data
]
Also = Annotated[list[str] | None, "network that goes to a device on request too (see `edgewright models`)"]
Preset = Annotated[Literal["edge", "paper"], "sizes of a zoo model: small enough for two cores, or as published"]
Import = Annotated[
    list[str] | None, "module to import first, as pkg.module: it registers your own layer classes", inputs.module
]
Seed = Annotated[int, "seed of weights, shuffling and sampling", inputs.at_least(0)]
Epochs = Annotated[int | None, "upper bound on epochs; default: from the size of the data", inputs.at_least(1)]
Weights = Annotated[
    str | None, 'start from a .keras or .weights.h5 file of the same net, or from "imagenet"', inputs.weights
]
Freeze = Annotated[
    int, "layers with weights, from the input on, that stay as they are; default: all learn", inputs.at_least(0)
]
Check = Annotated[bool, "first see what a fresh net loses, and whether it can learn one batch by heart"]
Folds = Annotated[
    int | None, "judge the training on so many folds of the training samples first, each tested once",
    inputs.at_least(2),
]  # fmt: skip
FoldsBy = Annotated[
    Literal["chance", "time", "group"],
    "draw folds, classes with their shares; or test on what is later than all that is learned, or on groups of which "
    "nothing is learned, as speakers",
]
ClassWeights = Annotated[
    Literal["balanced"] | None, "make a rare class count as much as the others in training; default: a sample counts 1"
]
Shortlist = Annotated[
    str | None,
    "cut the layer that says tokens to so many, the likeliest of the training targets of --data, or to the words of a "
    "text file", inputs.count_or_text,
]  # fmt: skip
Quick = Annotated[bool, "spend less on training and measuring, on the data that needs no download"]
Sparsity = Annotated[float, "share of weights to set to zero, in [0, 1)", inputs.share]
SparsityOrPattern = Annotated[
    float | None, "share of weights to set to zero, in [0, 1); default: 0.5, or what the pattern says", inputs.share
]
Channels = Annotated[
    float | None, "share of channels, heads and units to take out, in [0, 1); the model is built again without them",
    inputs.share,
]  # fmt: skip
Macs = Annotated[float | None, "take out channels until this share of the multiply-adds is gone", inputs.share]
Parameters = Annotated[float | None, "likewise, of the weights", inputs.share]
PeakMemory = Annotated[float | None, "likewise, of the most bytes of activations alive at once", inputs.share]
FileBytes = Annotated[float | None, "likewise, of the bytes of the float32 TFLite file", inputs.share]
Latency = Annotated[
    float | None, "likewise, of the time on --device, by a table of layers that are timed there once", inputs.share
]
MostDrop = Annotated[
    float | None, "take out as many channels as cost at most this of the metric on validation data; 0.01 is one point",
    inputs.at_least(0),
]  # fmt: skip
Scope = Annotated[
    Literal["global", "group"] | None, "rank all channels together, or take the same share everywhere (default)"
]
CutSteps = Annotated[
    int | None, "take channels out in as many steps, with training between; default: 1", inputs.at_least(1)
]
OfPrecision = Annotated[
    Literal["float32", "w8a8", "w8a16"] | None, "of the file that --memory or --latency means; default: float32"
]
QuantizedFor = Annotated[
    str | None, "quantize as the kernels of this target like it (see `edgewright check`)", inputs.target
]
OfTarget = Annotated[str | None, "round numbers of channels as the kernels of this target like them", inputs.target]
TimedOn = Annotated[
    str | None, "where --latency times layers (see `edgewright devices`); default: local", inputs.device
]
Criterion = Annotated[
    Literal["magnitude", "movement", "gradient", "l1", "l2", "bn_scale", "taylor", "activation", "random"] | None,
    "what says that a weight (the first three; default magnitude) or a channel (the others; default l1) matters little",
]
Schedule = Annotated[
    Literal["polynomial", "linear", "constant"] | None,
    "how sparsity grows while fine-tuning; default: polynomial, the cubic",
]
Pattern = Annotated[
    str | None,
    "which weights go together: unstructured (default), N:M (2:4 keeps 2 of each 4), block:ROWSxCOLUMNS, row (tables)",
]
Regrow = Annotated[
    Literal["gradient", "random"] | None,
    "while training, let as many zeros grow as weights go: RigL, SET; default: none",
]
Blocks = Annotated[
    int | None, "how many residual blocks y = x + f(x) to take out, those that do least on samples of --data",
    inputs.at_least(1),
]  # fmt: skip
MultipleOf = Annotated[
    int | None, "round numbers of channels up to a multiple; default: what the kernels of --target like, or 1",
    inputs.at_least(1),
]  # fmt: skip
Teacher = Annotated[
    str | None,
    ".keras file of a trained model whose answers are learned too, or `float`: the model itself, before it is changed",
    inputs.teacher_of_changed,
]  # fmt: skip
TrainedTeacher = Annotated[
    str | None, ".keras file of a trained model whose answers are learned beside the targets", inputs.teacher
]
Clusters = Annotated[
    int | None, "values that the weights of each kernel share, 2 to 256; zeros stay zero", inputs.at_least(2)
]
LowRank = Annotated[
    float | None,
    "share of the weights of each kernel to take out, in [0, 1); the kernel becomes a product of two thin ones",
    inputs.share,
]
MaxDrop = Annotated[
    float,
    "points that the metric may lose and pass, as hundredths: 0.01 is one point, such as 1% of accuracy",
    inputs.at_least(0),
]
MinSpeedup = Annotated[float | None, "smallest speed-up over the float file that passes; default: any", inputs.above(0)]
Engine = Annotated[Literal["edgewright", "tfmot"], "who does it: ours, or TensorFlow Model Optimization"]
Device = Annotated[str, "where to run (see `edgewright devices`)", inputs.device]
