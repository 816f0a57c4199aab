"""The graphs of a model that are exported: encoder, decoder and, if there is one, generator."""

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
    """Returns the graphs of a model by name; `"generator"` is missing if no noise makes its codes.

    The encoder returns the latent's `summary`, the code first.
    """
    latent = model.latent
    spec = latent.code_spec

    def encoder(x):
        return latent.summary(model.encoder(x))

    def decoder(z):
        return {"image": model.likelihood.mean(model.decoder(latent.decoder_input(z)))}

    def generator(noise):
        return decoder(latent.prior.from_normal(noise))

    graphs = {
        "encoder": Graph(encoder, "data", model.data_shape, "float32"),
        "decoder": Graph(decoder, "codes" if spec.num_codes else "z", spec.shape, spec.dtype),
    }
    if _draws_by_noise(latent):
        graphs["generator"] = Graph(generator, "noise", (math.prod(spec.shape),), "float32")
    return graphs


def example_inputs(model, seed: int, n: int) -> dict[str, np.ndarray]:
    """Draws an input for each graph, `n` examples. Seed 0 and n = 2 draw the fingerprint's."""
    rng = np.random.RandomState(seed)
    x, z = fixed_inputs(model, rng, n)
    spec = model.latent.code_spec
    noise = rng.standard_normal(size=(n, math.prod(spec.shape))).astype("float32")
    return {"encoder": x, "decoder": z.astype(spec.dtype), "generator": noise}


def _draws_by_noise(latent):
    """Whether the latent's draws are its prior's function of standard normal noise."""
    prior, shape = latent.prior, latent.code_spec.shape
    is_whole = getattr(prior, "latent_shape", None) == shape  # not over a part of the code
    if not latent.generates or not is_whole or prior.from_normal is None:
        return False
    draws, rng = latent.sample_prior(2, np.random.default_rng(0)), np.random.default_rng(0)
    noise = rng.standard_normal((2, math.prod(shape)), dtype="float32")
    same = ops.convert_to_numpy(prior.from_normal(ops.convert_to_tensor(noise)))
    return np.allclose(same, draws, atol=1e-4)
