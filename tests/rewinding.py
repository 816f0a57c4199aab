"""Models that are trained again from where they began: their graphs are traced, or compiled, once.

Most of the time of a test of training goes into the graph of its step, not into the steps.
"""

import numpy as np
from keras import ops


def rewinder(model):
    """A function that gives a compiled model, and its optimizer, the values that they have now."""
    model.optimizer.build(model.trainable_variables)
    variables = [*model.variables, *model.optimizer.variables]
    values = [np.array(ops.convert_to_numpy(variable)) for variable in variables]

    def rewind():
        for variable, value in zip(variables, values):
            variable.assign(value)
        return model

    return rewind
