"""Adam as one kernel a variable.

Keras writes the update out in some twenty operations a variable, which in a deep net is half of what has to be traced
and a quarter of a step. TensorFlow has a kernel for it; numbers differ by rounding only.
"""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("edgewright")
class FusedAdam(keras.optimizers.Adam):
    """keras.optimizers.Adam on the TensorFlow backend; its arguments, its variables."""

    def _backend_update_step(self, grads: Any, trainable_variables: Any, learning_rate: Any) -> None:
        step = tf.cast(tf.convert_to_tensor(self.iterations), tf.float32) + 1.0
        self._powers = tf.pow(self.beta_1, step), tf.pow(self.beta_2, step)  # the same for all variables
        super()._backend_update_step(grads, trainable_variables, learning_rate)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable; what the kernel does not take is left to Keras (with other types it aborts)."""
        floats = tf.as_dtype(variable.dtype) == tf.float32 and isinstance(gradient, tf.Tensor)
        if not floats or gradient.dtype != tf.float32 or self.amsgrad:
            super().update_step(gradient, variable, learning_rate)
            return
        index = self._get_variable_index(variable)
        first, second = self._powers
        tf.raw_ops.ResourceApplyAdam(
            var=_handle(variable),
            m=_handle(self._momentums[index]),
            v=_handle(self._velocities[index]),
            beta1_power=first,
            beta2_power=second,
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


def _handle(variable: Any) -> Any:
    """Return the resource behind a variable of TensorFlow or of Keras."""
    return (variable if isinstance(variable, tf.Variable) else variable.value).handle
