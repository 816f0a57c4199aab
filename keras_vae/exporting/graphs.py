"""The graphs of a model that are exported: encoder, decoder and, where it is one, generator."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from keras import ops

from keras_vae.hub.fingerprint import fixed_inputs

NAMES = ("encoder", "decoder", "generator")


@dataclasses.dataclass(frozen=True)
class Graph:
    """A deterministic function of one tensor, with names for what goes in and comes out.

    Args:
        function: from a tensor `(n, *shape)` to a dict of tensors.
        input: name of the tensor.
        shape: shape of one example of it.
        dtype: its dtype.
    """

    function: Callable
    input: str
    shape: tuple
    dtype: str

    def __call__(self, x):
        """The outputs that the model itself computes for a NumPy array, as NumPy arrays."""
        outputs = self.function(ops.convert_to_tensor(x, self.dtype))
        return {name: ops.convert_to_numpy(value) for name, value in outputs.items()}


def graphs_of(model) -> dict[str, Graph]:
    """Returns the graphs of a model by name; `"generator"` is missing if no noise makes latents."""
    latent = model.latent

    def encoder(x):
        h = model.encoder(x)
        if not latent.stochastic:
            return {"codes": latent.code(h)}
        mean, log_var = latent.posterior(h)
        return {"mean": mean, "log_var": log_var}

    def decoder(z):
        return {"image": model.likelihood.mean(model.decoder(latent.lookup(z)))}

    def generator(noise):
        return decoder(latent.prior.from_normal(noise))

    z, dtype = ("z", "float32") if latent.stochastic else ("codes", "int32")
    graphs = {
        "encoder": Graph(encoder, "data", model.data_shape, "float32"),
        "decoder": Graph(decoder, z, latent.latent_shape, dtype),
    }
    if hasattr(getattr(latent, "prior", None), "from_normal"):
        width = (math.prod(latent.latent_shape),)
        graphs["generator"] = Graph(generator, "noise", width, "float32")
    return graphs


def example_inputs(model, seed: int, n: int) -> dict[str, np.ndarray]:
    """Draws an input for each graph, `n` examples. Seed 0 and n = 2 draw the fingerprint's."""
    rng = np.random.RandomState(seed)
    x, z = fixed_inputs(model, rng, n)
    inputs = {"encoder": x, "decoder": z if model.latent.stochastic else z.astype("int32")}
    if "generator" in graphs_of(model):
        shape = (n, math.prod(model.latent.latent_shape))
        inputs["generator"] = rng.standard_normal(size=shape).astype("float32")
    return inputs
