"""A training loop in plain JAX, which benchmarks.accelerator holds keras_vae against.

The networks of `benchmarks.architectures` are written out, with Adam in ten lines; an epoch is one
compiled call over images that lie on the device. The ladder is keras_vae's own network, as a pure
function: only the loop around it is plain.
"""

from functools import partial

import jax
from jax import lax, nn, random
from jax import numpy as jnp

from benchmarks.architectures import ARCHITECTURES

_CONV = {"padding": "SAME", "dimension_numbers": ("NHWC", "HWIO", "NHWC")}


class RawLoop:
    """Trains a network: `train(x, batch)` is one epoch; its results are there when it returns.

    Args:
        network: `"mlp"`, `"conv"` or `"vq"`, for images of 28 x 28; or a keras_vae model.
        dtype: of the networks' products; parameters and losses are float32.
    """

    def __init__(self, network, dtype="float32"):
        if isinstance(network, str):
            parameters, codebook = _initial(network)
            loss = partial(_vq_loss if network == "vq" else _elbo_loss, network, dtype)
        else:
            parameters = [variable.value for variable in network.trainable_variables]
            codebook = [variable.value for variable in network.non_trainable_variables]
            loss = partial(_model_loss, network)
        moments = jax.tree.map(jnp.zeros_like, (parameters, parameters))
        copies = jax.tree.map(jnp.array, (parameters, codebook))  # the first call takes them over
        self.state = (*copies, moments, jnp.zeros(()), random.key(0))
        self.epoch = jax.jit(partial(_epoch, loss), donate_argnums=0, static_argnums=2)

    def train(self, x, batch):
        self.state, loss = self.epoch(self.state, x, batch)
        return float(loss)


def _epoch(loss, state, x, batch):
    *state, key = state
    key, own = random.split(key)
    order = random.permutation(own, len(x))[: len(x) // batch * batch].reshape(-1, batch)

    def step(carry, indices):
        parameters, codebook, moments, count, key = carry
        key, own = random.split(key)
        of = jax.value_and_grad(loss, has_aux=True)
        (value, codebook), gradient = of(parameters, codebook, x[indices], own)
        parameters, moments, count = _adam(parameters, gradient, moments, count)
        return (parameters, codebook, moments, count, key), value

    state, losses = lax.scan(step, (*state, key), order)
    return state, losses[-1]


def _adam(parameters, gradient, moments, count, rate=1e-3, b1=0.9, b2=0.999, epsilon=1e-7):
    """Kingma & Ba 2015, arXiv 1412.6980, algorithm 1."""
    count, (m, v) = count + 1, moments
    m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, m, gradient)
    v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, v, gradient)
    rate = rate * jnp.sqrt(1 - b2**count) / (1 - b1**count)
    step = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + epsilon), parameters, m, v)
    return step, (m, v), count


def _elbo_loss(network, dtype, parameters, codebook, x, key):
    pixels, noise = random.split(key)
    x = (random.uniform(pixels, x.shape) < x / 255.0).astype("float32")
    encode, decode = _NETWORKS[network]
    mean, log_var = jnp.split(encode(parameters, x.astype(dtype)).astype("float32"), 2, axis=-1)
    z = mean + jnp.exp(0.5 * log_var) * random.normal(noise, mean.shape)
    logits = decode(parameters, z.astype(dtype)).astype("float32").reshape(x.shape)
    nll = jnp.sum(nn.softplus(logits) - x * logits)
    kl = -0.5 * jnp.sum(1 + log_var - mean**2 - jnp.exp(log_var))
    return (nll + kl) / len(x), codebook


def _vq_loss(network, dtype, parameters, codebook, x, key):
    x = x / 255.0
    encode, decode = _NETWORKS[network]
    h = encode(parameters, x.astype(dtype)).astype("float32")
    flat = lax.stop_gradient(h.reshape(-1, h.shape[-1]))
    vectors, sums, frequency = codebook
    codes = jnp.argmin(jnp.sum(vectors**2, axis=-1) - 2 * flat @ vectors.T, axis=-1)
    used = nn.one_hot(codes, len(vectors))
    frequency = 0.99 * frequency + 0.01 * used.sum(axis=0)
    sums = 0.99 * sums + 0.01 * used.T @ flat
    quantized = vectors[codes].reshape(h.shape)
    outputs = decode(parameters, (h + lax.stop_gradient(quantized - h)).astype(dtype))
    error = jnp.sum((outputs.astype("float32") - x) ** 2)
    commitment = 0.25 * jnp.sum((h - quantized) ** 2)
    vectors = sums / jnp.maximum(frequency, 1e-5)[:, None]
    return (error + commitment) / len(x), (vectors, sums, frequency)


def _model_loss(model, parameters, state, x, _):
    """The loss of a keras_vae model; its random numbers are a part of the state."""
    terms, state, _ = model.stateless_call(
        parameters, state, {"data": x}, training=True, return_losses=True
    )
    return jnp.mean(terms.distortion + terms.rate + terms.penalty), state


def _initial(network):
    arguments = ARCHITECTURES[network]
    keys = iter(random.split(random.key(1), 100))

    def dense(i, o):
        return random.normal(next(keys), (i, o)) * jnp.sqrt(1 / i), jnp.zeros(o)

    def conv(size, i, o):
        scale = jnp.sqrt(1 / (size * size * i))
        return random.normal(next(keys), (size, size, i, o)) * scale, jnp.zeros(o)

    codebook = ()
    if network == "mlp":
        latent, (a, b) = arguments["latent_dim"], arguments["hidden_units"]
        widths = [(784, a), (a, b), (b, 2 * latent), (latent, b), (b, a), (a, 784)]
        parameters = [dense(*width) for width in widths]
    elif network == "conv":
        latent, (a, b) = arguments["latent_dim"], arguments["filters"]
        (units,), small = arguments["hidden_units"], 49 * arguments["filters"][1]
        parameters = [
            *(conv(3, 1, a), conv(3, a, b), dense(small, units), dense(units, 2 * latent)),
            *(dense(latent, units), dense(units, small)),
            *(conv(3, b, a), conv(3, a, a), conv(3, a, 1)),
        ]
    else:
        k, d, (a, b) = arguments["num_codes"], arguments["code_dim"], arguments["filters"]
        blocks = [(conv(3, b, b), conv(1, b, b)) for _ in range(2 * arguments["blocks"])]
        plain = [
            *(conv(4, 1, a), conv(4, a, b), conv(1, b, d)),
            *(conv(3, d, b), conv(4, b, a), conv(4, a, a), conv(4, a, 1)),
        ]
        parameters = (plain, blocks)
        vectors = 0.05 * random.normal(next(keys), (k, d))
        codebook = (vectors, vectors, jnp.ones(k))
    return parameters, codebook


def _dense(x, layer):
    return x @ layer[0].astype(x.dtype) + layer[1].astype(x.dtype)


def _convolve(x, layer, stride=1):
    kernel, bias = (part.astype(x.dtype) for part in layer)
    return lax.conv_general_dilated(x, kernel, (stride, stride), **_CONV) + bias


def _double(x, layer):
    kernel, bias = (part.astype(x.dtype) for part in layer)
    return lax.conv_transpose(x, kernel, (2, 2), **_CONV) + bias


def _residual(x, block):
    return x + _convolve(nn.relu(_convolve(nn.relu(x), block[0])), block[1])


def _mlp_encoder(parameters, x):
    h = x.reshape(len(x), -1)
    for layer in parameters[:2]:
        h = nn.relu(_dense(h, layer))
    return _dense(h, parameters[2])


def _mlp_decoder(parameters, z):
    for layer in parameters[3:5]:
        z = nn.relu(_dense(z, layer))
    return _dense(z, parameters[5])


def _conv_encoder(parameters, x):
    for layer in parameters[:2]:
        x = nn.relu(_convolve(x, layer, 2))
    return _dense(nn.relu(_dense(x.reshape(len(x), -1), parameters[2])), parameters[3])


def _conv_decoder(parameters, z):
    for layer in parameters[4:6]:
        z = nn.relu(_dense(z, layer))
    z = z.reshape(len(z), 7, 7, -1)
    for layer in parameters[6:8]:
        z = nn.relu(_double(z, layer))
    return _convolve(z, parameters[8])


def _vq_encoder(parameters, x):
    plain, blocks = parameters
    for layer in plain[:2]:
        x = nn.relu(_convolve(x, layer, 2))
    for block in blocks[: len(blocks) // 2]:
        x = _residual(x, block)
    return _convolve(x, plain[2])


def _vq_decoder(parameters, z):
    plain, blocks = parameters
    z = nn.relu(_convolve(z, plain[3]))
    for block in blocks[len(blocks) // 2 :]:
        z = _residual(z, block)
    for layer in plain[4:6]:
        z = nn.relu(_double(z, layer))
    return _convolve(z, plain[6])


_NETWORKS = {
    "mlp": (_mlp_encoder, _mlp_decoder),
    "conv": (_conv_encoder, _conv_decoder),
    "vq": (_vq_encoder, _vq_decoder),
}
