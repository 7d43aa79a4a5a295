"""Placement: what fuses, what shares a scale, and where a requantization goes."""

import keras
from edgewright.quantize.conversions import Conversion
from edgewright.quantize.graph.tracing import trace
from edgewright.quantize.operators import FixedOutputScale
from edgewright.quantize.passes.canonicalize import canonicalize
from edgewright.quantize.placement import place
from int8_run import attention, cnn, lstm


def plan_of(model, **options):
    return place(canonicalize(trace(model)), **options)


def operators(plan):
    return [step.rule.builtin_op if step.rule else None for step in plan.operators]


def step_of(plan, operator):
    return next(step for step in plan.operators if step.rule and step.rule.builtin_op == operator)


def test_convolution_bias_and_relu_are_one_step():
    plan = plan_of(cnn())
    assert operators(plan) == ["CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "", "MAX_POOL_2D", "MEAN", "FULLY_CONNECTED"]
    for operator in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        step = step_of(plan, operator)
        assert step.activation == "RELU"
        assert step.bias is not None and step.kernel is not None
        assert [plan.scale_of(node.output) is not None for node in step.nodes] == [False, False, True]
    assert step_of(plan, "FULLY_CONNECTED").activation is None


def test_relu6_fuses_and_tanh_does_not():
    inputs = keras.Input((4,), name="x")
    x = keras.layers.ReLU(6.0, name="clipped")(keras.layers.Dense(3, name="one")(inputs))
    plan = plan_of(keras.Model(inputs, keras.layers.Dense(3, activation="tanh", name="two")(x)))
    assert operators(plan) == ["FULLY_CONNECTED", "FULLY_CONNECTED", "TANH"]
    assert [step.activation for step in plan.operators] == ["RELU6", None, None]


def test_relu_does_not_fuse_into_a_sum_that_is_read_elsewhere():
    inputs = keras.Input((4,), name="x")
    x = keras.layers.Dense(4, name="dense")(inputs)
    plan = plan_of(keras.Model(inputs, keras.layers.Add(name="sum")([x, keras.layers.ReLU(name="relu")(x)])))
    assert operators(plan) == ["FULLY_CONNECTED", "RELU", "ADD"]


def test_operators_that_move_values_share_one_scale():
    inputs = keras.Input((8, 8, 2), name="x")
    x = keras.layers.MaxPooling2D(2, name="pool")(inputs)
    x = keras.layers.Flatten(name="flatten")(x)
    plan = plan_of(keras.Model(inputs, keras.layers.Dense(2, name="logits")(x)))
    pool, flatten, logits = plan.operators
    scale = plan.scale_of(plan.graph.inputs[0])
    assert plan.scale_of(pool.outputs[0]) is scale
    assert plan.scale_of(flatten.outputs[0]) is scale
    assert plan.scale_of(logits.outputs[0]) is not scale
    assert len(plan.distinct_scales) == 2


def test_concatenation_joins_the_scales_of_its_inputs():
    inputs = keras.Input((4,), name="x")
    parts = [keras.layers.Dense(3, name=name)(inputs) for name in ("a", "b")]
    plan = plan_of(keras.Model(inputs, keras.layers.Concatenate(name="both")(parts)))
    assert operators(plan) == ["FULLY_CONNECTED", "FULLY_CONNECTED", "CONCATENATION"]
    assert len({id(plan.scale_of(step.outputs[0])) for step in plan.operators}) == 1


def test_softmax_sigmoid_and_tanh_have_their_fixed_ranges():
    """Scale 1/256 from zero point -128, and 1/128 around zero: what the int8 kernels of LiteRT prescribe."""
    inputs = keras.Input((4,), name="x")
    outputs = [keras.layers.Activation(kind, name=kind)(inputs) for kind in ("softmax", "sigmoid", "tanh")]
    plan = plan_of(keras.Model(inputs, outputs))
    found = {
        operator: plan.scale_of(step.outputs[0]) for operator, step in zip(operators(plan), plan.operators, strict=True)
    }
    assert all(scale.source == "fixed" for scale in found.values())
    assert found["SOFTMAX"].fixed == found["LOGISTIC"].fixed == FixedOutputScale(0.0, 255 / 256)
    assert found["TANH"].fixed == FixedOutputScale(-1.0, 127 / 128)


def test_softmax_beside_something_is_requantized_before_a_concatenation():
    inputs = keras.Input((4,), name="x")
    chances = keras.layers.Activation("softmax", name="chances")(keras.layers.Dense(3, name="a")(inputs))
    other = keras.layers.Dense(3, name="b")(inputs)
    plan = plan_of(keras.Model(inputs, keras.layers.Concatenate(name="both")([chances, other])))
    assert sorted(operators(plan)) == sorted(
        ["FULLY_CONNECTED", "SOFTMAX", "QUANTIZE", "FULLY_CONNECTED", "CONCATENATION"]
    )
    both = step_of(plan, "CONCATENATION")
    assert plan.scale_of(step_of(plan, "SOFTMAX").outputs[0]).source == "fixed"
    assert plan.scale_of(both.outputs[0]).source == "observed"
    assert {id(plan.scale_of(leaf)) for leaf in both.inputs} == {id(plan.scale_of(both.outputs[0]))}


def test_a_conversion_is_called_after_what_makes_its_values_or_asks_for_another_scale():
    names = {
        "layer/dense/16_bits/requantize": Conversion("layer/dense", 16),
        "split/1/8_bits/requantize": Conversion("split/1", 8),
        "both/requantize": Conversion("both"),
        "16_bits/requantize": Conversion("16_bits"),  # a layer that is called so
    }
    for name, conversion in names.items():
        assert str(conversion) == name and Conversion.read(name) == conversion
    assert str(Conversion("lstm/mul", 16).after("step/mul")) == "step/mul/16_bits/requantize"


def test_unrolled_steps_share_their_scales_and_kernels():
    plan = plan_of(lstm())
    by_site = {}
    for step in plan.operators:
        by_site.setdefault(step.nodes[-1].scope, set()).update(id(plan.scale_of(out)) for out in step.outputs)
    assert all(len(scales) == 1 for site, scales in by_site.items() if "split" not in site)
    recurrent = {id(step.kernel) for step in plan.operators if step.kernel is not None}
    assert len(recurrent) == 3  # input, recurrent and head kernels
    assert len([step for step in plan.operators if step.rule.builtin_op == "TANH"]) == 12


def test_every_step_comes_after_what_it_reads():
    for model in (cnn(), lstm(), attention()):
        plan = plan_of(model)
        known = {id(leaf) for leaf in (*plan.graph.inputs, *plan.graph.constants)}
        for step in plan.operators:
            assert all(id(leaf) in known or leaf.is_constant for leaf in step.inputs), step.name
            known.update(id(out) for out in step.outputs)


def test_tokens_have_no_scale_and_their_table_is_quantized_by_its_values():
    plan = plan_of(attention())
    assert plan.scale_of(plan.graph.inputs[0]) is None
    gather = step_of(plan, "GATHER")
    assert plan.scale_of(gather.outputs[0]).source == "values"


def test_what_the_table_does_not_know_stays_float_with_its_reason():
    inputs = keras.Input((4,), name="x")
    plan = plan_of(keras.Model(inputs, keras.ops.sort(keras.layers.Dense(3, name="dense")(inputs), axis=1)))
    assert operators(plan) == ["FULLY_CONNECTED", None]
    assert plan.operators[1].reason == "no int8 rule for Sort"
    assert plan.scale_of(plan.operators[1].outputs[0]) is None


def test_kept_in_float_by_request():
    plan = plan_of(cnn(), choose=lambda node: (None, "wanted") if node.op_type == "Conv" else ("w8a8", ""))
    step = plan.operators[0]
    assert (step.rule, step.reason, step.row.builtin_op) == (None, "wanted", "CONV_2D")
