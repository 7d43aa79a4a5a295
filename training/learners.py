"""The register of learners: how networks are fitted to a data set, whatever their number and whatever the game.

A learner is a function `(networks, dataset, task, config, run) -> history`:

- networks: dict name -> keras.Model, trained in place. One for `fit`; generator and discriminator for an adversarial
  learner; encoder and step for a decoder; policy and target for an agent. It owns loss, optimizers and update, so a
  network that was pruned or made quantization-aware goes on training inside its own game.
- dataset: a Dataset; an episodic learner draws its episodes from `train`, an agent's Dataset holds its environment's
  seeds. task: a row of tasks.py; a learner may ignore its loss, not its metric.
- config: TrainConfig. All randomness comes from config.seed and the epoch, never from the time or a global generator.
- run: RunDir. At the start `run.restore()`; after each epoch `run.log(row)` and, where `run.due()`, `run.save(State)`
  with `state.pack` of every variable (networks, optimizers, best so far) and the counters as facts; once more with
  done=True. A learner given a state that is done restores it and returns its history. With these the resume is exact:
  an epoch is a function of the state before it, the seed and its number.
- history: one dict of floats an epoch, with "epoch" (from 1), "loss", and "val_" names.

Raises: EdgewrightError if the loss is no longer finite. Adding a learner: decorate it with `@learner("name")`.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ..errors import BadInput, EdgewrightError
from ..metrics import are_probabilities
from ..progress import say, track
from .answers import outputs_of, places_of
from .config import TrainConfig
from .data import Dataset, Split
from .losses import MultiClassHinge, OfProbabilities, PerceptronCriterion, SigmoidSquaredError
from .state import Row, RunDir, State, pack, unpack
from .tasks import Task, check_outputs, sample_weights, shaped

Networks = Mapping[str, keras.Model]
Learner = Callable[[Networks, Dataset, Task, TrainConfig, RunDir], list[Row]]
LEARNERS: dict[str, Learner] = {}


def learner(name: str) -> Callable[[Learner], Learner]:
    """Register a learner under `name`; a name that is taken raises ValueError."""

    def register(function: Learner) -> Learner:
        if name in LEARNERS:
            raise ValueError(f"learner {name!r} is registered twice")
        LEARNERS[name] = function
        return function

    return register


def get(name: str) -> Learner:
    """Return the learner `name`.  Raises: BadInput listing the learners."""
    if name not in LEARNERS:
        raise BadInput(f"no learner {name!r}; there are {', '.join(LEARNERS)}")
    return LEARNERS[name]


@learner("fit")
def fit(networks: Networks, dataset: Dataset, task: Task, config: TrainConfig, run: RunDir) -> list[Row]:
    """Minimise the task's loss of one network with `Model.fit`; keep the epoch that validates best.

    Of several outputs the sum of their losses, each by its weight.
    """
    return minimise(networks, dataset, task, config, run)


@learner("perceptron")
def perceptron(networks: Networks, dataset: Dataset, task: Task, config: TrainConfig, run: RunDir) -> list[Row]:
    """Apply the perceptron rule at a constant rate: Rosenblatt's with batches of one sample, else summed over them."""
    rule = FitOverrides(loss=PerceptronCriterion(), optimizer=keras.optimizers.SGD(config.learning_rate))
    return minimise(networks, dataset, task, config, run, rule)


@learner("hinge")
def hinge(networks: Networks, dataset: Dataset, task: Task, config: TrainConfig, run: RunDir) -> list[Row]:
    """Minimise the multi-class hinge loss of margin 1."""
    return minimise(networks, dataset, task, config, run, FitOverrides(loss=MultiClassHinge()))


@learner("squared_sigmoid")
def squared_sigmoid(networks: Networks, dataset: Dataset, task: Task, config: TrainConfig, run: RunDir) -> list[Row]:
    """Minimise the squared error of a sigmoid unit: the sigmoid perceptron."""
    return minimise(networks, dataset, task, config, run, FitOverrides(loss=SigmoidSquaredError()))


@learner("bagging")
def bagging(networks: Networks, dataset: Dataset, task: Task, config: TrainConfig, run: RunDir) -> list[Row]:
    """Train every member of an ensemble on a bootstrap of its own: samples drawn with replacement, as weights.

    The members are the layers named `member_1_logits` and on; metrics of the history are means over them. Where they
    cannot be told apart any more (wrapped for pruning, rewritten for quantization) the ensemble is tuned as one net.
    Source: Breiman 1996, Bagging predictors.
    """
    ((name, model),) = networks.items()
    members = [layer.output for layer in model.layers if re.fullmatch(r"member_\d+_logits", layer.name)]
    if not members:
        say(f"{name}: its members cannot be told apart here; the ensemble is tuned as one net")
        return minimise(networks, dataset, task, config, run)
    stacked = keras.Model(model.input, keras.ops.stack(members, axis=1), name=name)  # (N, members, classes)
    count = len(dataset.train)
    draws = np.random.default_rng(config.seed).integers(0, count, (len(members), count))
    weights = np.stack([np.bincount(drawn, minlength=count) for drawn in draws], axis=1)  # (N, members)
    game = FitOverrides(
        targets=lambda split: np.repeat(split.y[:, None], len(members), axis=1),
        weights=weights.astype(np.float32),
    )
    return minimise({name: stacked}, dataset, task, config, run, game)


# What else a class number tells: targets of further heads, by the name of their output.
TOLD: dict[str, Callable[[np.ndarray], np.ndarray]] = {"parity": lambda labels: labels % 2}


@learner("multitask")
def multitask(networks: Networks, dataset: Dataset, task: Task, config: TrainConfig, run: RunDir) -> list[Row]:
    """Train a net that returns a dict of logits by the sum of their losses; its first output is the one judged.

    That one predicts the class, each other what `TOLD` says of it.  Source: Caruana 1997, Multitask learning.
    Raises: BadInput for an output that `TOLD` does not have.
    """
    ((name, model),) = networks.items()
    first, *others = model.output
    if unknown := [other for other in others if other not in TOLD]:
        raise BadInput(f"{name!r} has an output {unknown[0]!r}; learner 'multitask' has targets for {', '.join(TOLD)}")
    game = FitOverrides(
        loss={head: task.loss(config.label_smoothing) for head in (first, *others)},
        metrics={head: task.logs(0.0) for head in (first, *others)},
        targets=lambda split: {first: split.y, **{other: TOLD[other](split.y) for other in others}},
        judged=f"{first}_",
    )
    return minimise(networks, dataset, task, config, run, game)


@dataclass(frozen=True, kw_only=True)
class FitOverrides:
    """What `minimise` shall do otherwise than the task says; what is None stays the task's.

    loss, metrics: as `Model.compile` takes them. optimizer: instead of the configured one. targets: split -> targets.
    weights: of the training targets, one each. loss_weights: of several losses. judged: how Keras begins the names
    of the metrics that choose the epoch.
    """

    loss: Any = None
    metrics: Any = None
    optimizer: Any = None
    targets: Callable[[Split], Any] | None = None
    weights: np.ndarray | None = None
    loss_weights: Mapping[str, float] | None = None
    judged: str = ""


def minimise(
    networks: Networks, dataset: Dataset, task: Task, config: TrainConfig, run: RunDir, game: FitOverrides | None = None
) -> list[Row]:
    """Run `Model.fit` on one network so that it resumes exactly; keep the epoch that validates best."""
    if len(networks) != 1:
        raise BadInput(f"this learner trains one network, got {', '.join(networks)}; choose another learner")
    ((name, model),) = networks.items()
    if task.heads and game is None:
        model, game = _of_heads(model, dataset, task, config, name)
    game = game or FitOverrides()
    output = None
    if game.targets is None:
        output, *others = outputs_of(model)
        if others:
            raise BadInput(
                f"{name!r} has {1 + len(others)} outputs, data {dataset.name!r} has targets for one; give them as a "
                f"dict by "
                f"output: {', '.join(one.name for one in (output, *others))}"
            )
        check_outputs(task, dataset, tuple(model.output_shape[1:]), name)
    targets = game.targets or (lambda split: shaped(task, split.y, tuple(model.output_shape[1:])))
    weigh = _weights(dataset, config)
    weights = game.weights if game.weights is not None else weigh(dataset.train)
    batches = Batches(dataset.train, targets(dataset.train), config, weights)
    epochs = config.epochs_for(len(batches))
    fitted = Augmented(model, dataset.augmentation(config.seed)) if dataset.augmentation and config.augment else model
    sample = keras.tree.map_structure(lambda array: array[:8], batches[0])
    answers = model(sample[0], training=False)
    loss, threshold = (game.loss, 0.0) if game.loss else loss_of(task, output and output.ending, answers, config)
    logs = game.metrics or task.logs(threshold)
    validation_weights = weigh(dataset.validation)
    fitted.compile(
        optimizer=game.optimizer or optimizer(config, epochs * len(batches)),
        loss=loss,
        loss_weights=game.loss_weights,
        # By classes weighted alike, or the epoch that is chosen would be one that forgets the rare ones.
        **{"metrics" if validation_weights is None else "weighted_metrics": logs},
        jit_compile="auto" if config.jit_compile is None else config.jit_compile,  # pyright: ignore[reportArgumentType]
        steps_per_execution=min(config.steps_per_execution, len(batches)),
    )
    fitted.optimizer.build(model.trainable_variables)
    _make_trackers(fitted, sample, answers)
    keeper = BestCheckpoint(
        fitted, task, config, run, epochs=epochs, samples=len(dataset.validation), judged=game.judged
    )
    if keeper.next_epoch < epochs:
        with track(f"train {name}", epochs * len(batches)) as advance:
            fitted.fit(
                batches,
                validation_data=(
                    dataset.validation.x,
                    targets(dataset.validation),
                    *([] if validation_weights is None else [validation_weights]),
                ),
                validation_batch_size=256,
                shuffle=False,  # Keras would shuffle the batches once more, by Python's global random state
                initial_epoch=keeper.next_epoch,
                epochs=epochs,
                verbose=0,  # pyright: ignore[reportArgumentType]
                callbacks=[Pace(batches, advance, keeper.history), keeper],
            )
    keeper.finish()
    return keeper.history


class Augmented(keras.Model):
    """A model whose training samples first go through layers that change them at random.

    These lie in the compiled step, and their random states among the variables: a resumed run goes on with them.
    """

    def __init__(self, model: keras.Model, augmentation: Sequence[keras.layers.Layer]):
        super().__init__(name=model.name)
        self.network, self.augmentation = model, list(augmentation)
        for layer in self.augmentation:  # Keras says no for all of TensorFlow's sake, whose kernels of images XLA lacks
            layer.supports_jit |= keras.backend.backend() == "jax"
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Run the network, in training on changed inputs."""
        for layer in self.augmentation if training else ():
            inputs = layer(inputs, training=True)
        return self.network(inputs, training=training)


class Named(keras.Model):
    """A model that answers a dict by head, whatever form and names its own outputs have."""

    def __init__(self, model: keras.Model, places: Mapping[str, int]):
        super().__init__(name=model.name)
        self.network, self.places = model, dict(places)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Run the network."""
        answers = keras.tree.flatten(self.network(inputs, training=training))
        return {head: answers[place] for head, place in self.places.items()}


def _make_trackers(model: keras.Model, sample: tuple, answers: Any) -> None:
    """Let Keras make the variables of loss and metrics now: made inside the first step, they have it traced twice."""
    x, targets, *weights = sample
    weight = weights[0] if weights else None
    model.compute_loss(x, targets, answers, weight)
    model.compute_metrics(x, targets, answers, weight)
    model.reset_metrics()


def loss_of(task: Task, ending: str | None, answers: Any, config: TrainConfig) -> tuple[keras.losses.Loss, float]:
    """Return the task's loss for a model's answers, logits or probabilities, and the threshold that says yes."""
    loss = task.loss(config.label_smoothing)
    if task.ending and end_in_probabilities(task, ending, answers):
        return OfProbabilities(loss, independent=task.ending == "sigmoid"), 0.5
    return loss, 0.0


def end_in_probabilities(task: Task, ending: str | None, answers: Any) -> bool:
    """Tell whether a model answers probabilities, or logits.

    A sigmoid is known by the last operation, since one value tells nothing; where that is unknown, and of a softmax, a
    few answers tell.
    """
    if task.ending != "sigmoid":
        return _are_probabilities(answers)
    return are_probabilities(np.asarray(answers)) if ending is None else ending == "sigmoid"


def _are_probabilities(answers: Any) -> bool:
    """Tell whether what a model answers to a few samples are probabilities, quantized ones perhaps, or logits."""
    answers = keras.ops.convert_to_numpy(answers).astype(np.float32)
    slack = min(0.5, 0.01 + answers.shape[-1] / 512)  # each may be rounded to 1/256
    sums = answers.sum(-1)
    return bool(np.all((answers >= 0) & (answers <= 1)) and np.all(np.abs(sums - 1) <= slack))


def _of_heads(
    model: keras.Model, dataset: Dataset, task: Task, config: TrainConfig, name: str
) -> tuple[keras.Model, FitOverrides]:
    """Return the model with its outputs by name, of which those without targets are left out, and its losses."""
    assert task.heads
    outputs = outputs_of(model)
    places = places_of(list(task.heads), outputs, name)
    named = Named(model, places)
    loss, logs = {}, {}
    sample = keras.tree.map_structure(lambda array: array[:8], dataset.train.x)
    answers: Any = named(sample, training=False)
    for head, own in task.heads.items():
        output = outputs[places[head]]
        check_outputs(own, dataset, output.shape, name, head)
        loss[head], threshold = loss_of(own, output.ending, answers[head], config)
        logs[head] = own.logs(threshold)
    shapes = {head: outputs[place].shape for head, place in places.items()}
    heads = task.heads
    game = FitOverrides(
        loss=loss,
        metrics=logs,
        targets=lambda split: {head: shaped(own, split.y[head], shapes[head]) for head, own in heads.items()},
        loss_weights={head: dataset.heads[head].weight for head in heads},
    )
    return named, game


def _weights(dataset: Dataset, config: TrainConfig) -> Callable[[Split], Any]:
    """Return (split -> the weight of each sample, for each output that has classes), or None for no weights."""
    if config.class_weights is None:
        return lambda split: None
    if not dataset.heads:
        return lambda split: sample_weights(dataset, split.y, config.class_weights)
    balanced = [head for head, own in dataset.heads.items() if own.classes]
    if not balanced:
        raise BadInput(
            f"class_weights {config.class_weights!r}: no output of {dataset.name!r} has classes; leave it out"
        )

    def weigh(split: Split) -> dict[str, np.ndarray]:
        return {
            head: sample_weights(dataset, split.y[head], config.class_weights, head)
            if head in balanced else np.ones(len(split), np.float32)
            for head in dataset.heads
        }  # fmt: skip

    return weigh


class Batches(keras.utils.PyDataset):
    """Training batches whose order is a function of (seed, epoch) alone; the incomplete last one is dropped.

    So every step has one shape (nothing is compiled twice), and an epoch can be repeated in another process.
    """

    def __init__(self, split: Split, targets: Any, config: TrainConfig, weights: Any = None):
        super().__init__()
        self._parts = (split.x, targets) if weights is None else (split.x, targets, weights)
        self._samples, self._seed = len(split), config.seed
        self._size, self._passes = config.batch_for(len(split)), config.passes
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Take the order of `epoch`; each pass has one of its own."""
        random = np.random.default_rng([self._seed, epoch])
        kept = self._samples // self._size * self._size
        self._order = np.concatenate([random.permutation(self._samples)[:kept] for _ in range(self._passes)])

    def __len__(self) -> int:
        return self._passes * (self._samples // self._size)

    def __getitem__(self, index: int):
        chosen = self._order[index * self._size : (index + 1) * self._size]
        return tuple(keras.tree.map_structure(lambda array: array[chosen], part) for part in self._parts)


class Pace(keras.callbacks.Callback):
    """Sets each epoch's order of samples and moves the progress bar."""

    def __init__(self, batches: Batches, advance: Callable[..., None], history: list[Row]):
        super().__init__()
        self._batches, self._advance, self._history = batches, advance, history
        advance(len(history) * len(batches))

    def on_epoch_begin(self, epoch, logs=None):
        """Shuffle for `epoch`."""
        self._batches.begin(epoch)
        self._done = 0

    def on_train_batch_end(self, batch, logs=None):
        """Advance to `batch`, the last one of this execution; Keras counts a short last execution as a full one."""
        batch = min(batch, len(self._batches) - 1)
        last = self._history[-1] if self._history else {}
        note = " ".join(f"{name} {value:.4f}" for name, value in last.items() if name.startswith("val_"))
        self._advance(batch + 1 - self._done, note)
        self._done = batch + 1


class BestCheckpoint(keras.callbacks.Callback):
    """Logs epochs, remembers the best weights, saves the run's state, stops early."""

    def __init__(
        self,
        model: keras.Model,
        task: Task,
        config: TrainConfig,
        run: RunDir,
        *,
        epochs: int,
        samples: int,
        judged: str,
    ):
        super().__init__()
        self._samples, self._judged = samples, judged
        self._network, self._task, self._config, self._run, self._epochs = model, task, config, run, epochs
        self._moving = {"model": model.variables, "optimizer": model.optimizer.variables}
        self._best: dict[str, np.ndarray] = {}
        self.history: list[Row] = []
        state = run.restore()
        if state:
            unpack(state.arrays, self._moving)
            self._best = {name: value for name, value in state.arrays.items() if name.startswith("best/")}
            self.history = state.history
        self._complete = state is not None and state.done

    @property
    def next_epoch(self) -> int:
        """The number, from 0, of the epoch to train next; past the last one if the run is complete."""
        return self._epochs if self._complete or self._over() else len(self.history)

    def on_epoch_end(self, epoch, logs=None):
        """Judge the epoch."""
        row = {"epoch": float(epoch + 1), **{self._plain(name): float(value) for name, value in (logs or {}).items()}}
        if not all(map(math.isfinite, row.values())):
            raise EdgewrightError(f"training diverged: {row}. Lower learning_rate, or check the scale of the samples")
        self.history.append(row)
        self._run.log(row)
        if self._best_epoch() == len(self.history) - 1:
            self._best = pack({"best": self._network.weights})
        if self._run.due():
            self._save(done=False)
        if self._over():
            self._network.stop_training = True

    def finish(self) -> None:
        """Put the best epoch's weights into the network and mark the run as complete."""
        if not self._complete:
            self._save(done=True)
        unpack(self._best, {"best": self._network.weights})
        self._run.finish(self.history)

    def _plain(self, name: str) -> str:
        """Return a metric's name as the task knows it: without the output that is judged; losses are of all outputs."""
        return name if name.endswith("_loss") else name.replace(self._judged, "", 1) if self._judged else name

    def _best_epoch(self) -> int:
        return self._task.best_epoch(self.history, self._samples)

    def _over(self) -> bool:
        """Tell if training may end early: it got no better for `patience` epochs, or is good enough."""
        patience, enough = self._config.patience, self._config.enough
        if not self.history:
            return False
        stalled = patience is not None and len(self.history) - 1 - self._best_epoch() >= patience
        return stalled or (enough is not None and self.history[-1].get("val_accuracy", 0.0) >= enough)

    def _save(self, *, done: bool) -> None:
        self._run.save(State(arrays={**pack(self._moving), **self._best}, history=self.history, done=done))


def optimizer(config: TrainConfig, updates: int) -> Any:
    """Return a new keras optimizer with its learning-rate schedule over `updates` steps."""
    rate: Any = config.learning_rate
    if config.schedule == "cosine":
        warmup = min(config.warmup, updates // 10)
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=config.learning_rate / 100 if warmup else config.learning_rate,
            decay_steps=max(1, updates - warmup),
            warmup_target=config.learning_rate if warmup else None,
            warmup_steps=warmup,
        )
    extra = {"weight_decay": config.weight_decay} if config.weight_decay else {}
    if config.optimizer == "sgd":
        extra["momentum"] = 0.9
    if config.optimizer == "adam" and keras.backend.backend() == "tensorflow":
        from .adam import FusedAdam

        return FusedAdam(learning_rate=rate, **extra)  # pyright: ignore[reportArgumentType]
    return keras.optimizers.get({"class_name": config.optimizer, "config": {"learning_rate": rate, **extra}})
