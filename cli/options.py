"""Arguments that several verbs take: their type, what help says of them, and the checks before any work."""

from typing import Annotated, Literal

from . import inputs

Model = Annotated[str, "name of the zoo (see `edgewright models`), pkg.module:function, or a .keras file", inputs.model]
KerasFile = Annotated[str, ".keras file of a trained model", inputs.keras_file]
KerasOut = inputs.keras_out
Data = Annotated[
    str | None, "name of a data set or pkg.module:function; default: the model's first available one", inputs.data
]
Preset = Annotated[Literal["edge", "paper"], "sizes of a zoo model: small enough for two cores, or as published"]
Import = Annotated[
    list[str] | None, "module to import first, as pkg.module: it registers your own layer classes", inputs.module
]
Seed = Annotated[int, "seed of weights, shuffling and sampling", inputs.at_least(0)]
Epochs = Annotated[int | None, "upper bound on epochs; default: from the size of the data", inputs.at_least(1)]
Weights = Annotated[
    str | None, 'start from a .keras or .weights.h5 file of the same net, or from "imagenet"', inputs.weights
]
ClassWeights = Annotated[
    Literal["balanced"] | None, "make a rare class count as much as the others in training; default: a sample counts 1"
]
Quick = Annotated[bool, "spend less on training and measuring, on the data that needs no download"]
Sparsity = Annotated[float, "share of weights to set to zero, in [0, 1)", inputs.share]
Channels = Annotated[
    float | None, "share of channels, heads and units to take out, in [0, 1); the model is built again without them",
    inputs.share,
]  # fmt: skip
Criterion = Annotated[
    Literal["l1", "l2", "bn_scale", "taylor", "activation", "random"],
    "what says that a channel matters little; taylor and activation need --data",
]
MultipleOf = Annotated[int, "round numbers of channels up to a multiple, as kernels like them", inputs.at_least(1)]
Teacher = Annotated[
    str | None,
    ".keras file of a trained model whose answers are learned too, or `float`: the model itself, before it is changed",
    inputs.teacher_of_changed,
]  # fmt: skip
TrainedTeacher = Annotated[
    str | None, ".keras file of a trained model whose answers are learned beside the targets", inputs.teacher
]
Temperature = Annotated[
    float | None, "softens the answers of teacher and student, which are divided by it first; default: 4",
    inputs.above(0),
]  # fmt: skip
Alpha = Annotated[float | None, "share of the teacher's answers in the loss, in [0, 1]; default: 0.5", inputs.part]
Features = Annotated[
    list[str] | None,
    "layer whose features are learned too: a name, STUDENT=TEACHER for two names, or `same` for all of one name",
]
Unlabelled = Annotated[
    str | None, "data set or pkg.module:function of more samples, which only the teacher judges", inputs.data
]
MaxDrop = Annotated[
    float,
    "points that the metric may lose and pass, as hundredths: 0.01 is one point, such as 1% of accuracy",
    inputs.at_least(0),
]
MinSpeedup = Annotated[float | None, "smallest speed-up over the float file that passes; default: any", inputs.above(0)]
Engine = Annotated[Literal["edgewright", "tfmot"], "who does it: ours, or TensorFlow Model Optimization"]
Device = Annotated[str, "where to run (see `edgewright devices`)", inputs.device]
