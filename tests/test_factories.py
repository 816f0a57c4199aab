"""Tests of the factories: the models they build and the checks of their arguments."""

import json
import math

import keras
import numpy as np
import pytest

import keras_vae
from keras_vae import FACTORIES, factories, hub

pytestmark = pytest.mark.usefixtures("eager")


def test_every_factory_is_a_public_function_of_its_name(factory):
    assert getattr(keras_vae, factory) is FACTORIES[factory]
    assert FACTORIES[factory].__doc__


def test_a_model_is_built_on_return(make, factory, tmp_path):
    model = make(factory)
    assert model.built and model.count_params() > 0
    lines = []
    model.summary(print_fn=lambda line, **kwargs: lines.append(line))
    assert "encoder" in "".join(lines)
    model.save_weights(tmp_path / "a.weights.h5")
    other = make(factory, seed=1)
    other.load_weights(tmp_path / "a.weights.h5")
    x = np.zeros((1, 8, 8, 1), "float32")
    np.testing.assert_array_equal(other.reconstruct(x), model.reconstruct(x))


def test_defaults_make_a_model(factory):
    model = FACTORIES[factory]((32, 32, 1))
    assert model.reconstruct(np.zeros((1, 32, 32, 1), "uint8")).shape == (1, 32, 32, 1)
    assert model.name == factory


def test_arguments_reach_the_model(make, factory):
    model = make(factory, likelihood=keras_vae.likelihoods.Gaussian(0.3), beta=2.0, name="mine")
    assert model.likelihood.scale == 0.3
    assert float(keras.ops.convert_to_numpy(model.beta)) == 2.0
    assert model.name == "mine" and model.seed == 0 and model.latent.seed == 0


def test_a_vq_model_has_a_gaussian_likelihood_by_default(make):
    assert make("vq_vae").likelihood.scale == 0.1


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "2"])
def test_a_latent_dimension_that_is_not_whole_is_refused(value):
    for name in ("mlp_vae", "conv_vae"):
        with pytest.raises(ValueError, match="latent_dim must be a whole number >= 1"):
            FACTORIES[name]((8, 8, 1), latent_dim=value)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"beta": -1}, "beta must be a finite number >= 0"),
        ({"beta": math.nan}, "beta must be a finite number"),
        ({"beta": math.inf}, "beta must be a finite number"),
        ({"likelihood": "poison"}, "likelihood must be one of"),
        ({"input_shape": (8, 8, 0)}, "each of input_shape must be a whole number >= 1"),
        ({"input_shape": (8, 8, None)}, "each of input_shape must be a whole number"),
        ({"input_shape": "mnist"}, "input_shape must be a tuple of whole numbers"),
    ],
)
def test_every_factory_refuses_arguments_out_of_range(make, factory, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(factory, **arguments)


@pytest.mark.parametrize(
    "name, arguments, message",
    [
        ("mlp_vae", {"hidden_units": (8, 0)}, "each of hidden_units"),
        ("mlp_vae", {"num_samples": 0}, "num_samples must be a whole number >= 1"),
        ("mlp_vae", {"prior": "flow"}, "prior must be an object of keras_vae.priors"),
        ("conv_vae", {"filters": ()}, "filters must be a tuple of whole numbers"),
        ("conv_vae", {"blocks": -1}, "blocks must be a whole number >= 0"),
        ("conv_vae", {"stem": -1}, "stem must be a whole number >= 0"),
        ("conv_vae", {"kernel_size": 0}, "kernel_size must be a whole number >= 2"),
        ("conv_vae", {"num_samples": True}, "num_samples must be a whole number >= 1"),
        ("vq_vae", {"num_codes": 0}, "num_codes must be a whole number >= 1"),
        ("vq_vae", {"code_dim": 2.0}, "code_dim must be a whole number"),
        ("vq_vae", {"blocks": -1}, "blocks must be a whole number >= 0"),
        ("vq_vae", {"codebook_update": "adam"}, "codebook_update must be"),
        ("vq_vae", {"last_conv": "false"}, "last_conv must be True or False. Received: 'false'"),
        ("vq_vae", {"kernel_size": 1}, "kernel_size must be a whole number >= 2"),
        ("conv_vae", {"linear": "False"}, "linear must be True or False"),
        ("vq_vae", {"linear": 1}, "linear must be True or False"),
        ("conv_vae", {"attention": 1}, "attention must be True or False"),
    ],
)
def test_a_factorys_own_arguments_are_checked(make, name, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(name, **arguments)


@pytest.mark.parametrize("name", ["conv_vae", "vq_vae"])
@pytest.mark.parametrize("shape", [(64,), (2, 2, 8, 8, 1)])
def test_convolutional_models_take_only_signals_images_and_volumes(name, shape):
    with pytest.raises(ValueError, match=r"\(time, channels\).*; for vectors use mlp_vae"):
        FACTORIES[name](shape)


def test_a_users_own_prior_is_used(grey):
    class Narrow(keras_vae.priors.StandardNormal):
        def log_prob(self, z):
            return super().log_prob(z) - 1.0  # not a density, but its effect is visible

    plain = keras_vae.mlp_vae((8, 8, 1), 2, (4,))
    other = keras_vae.mlp_vae((8, 8, 1), 2, (4,), prior=Narrow())
    other.set_weights(plain.get_weights())
    a = plain.log_likelihood(grey, num_samples=5, seed=0)
    b = other.log_likelihood(grey, num_samples=5, seed=0)
    np.testing.assert_allclose(b, a - 1, rtol=1e-5)
    assert np.isfinite(other.train_on_batch(grey)).all()


def test_a_factory_is_called_by_its_name(factory):
    assert factories.build(factory, {"input_shape": [8, 8, 1]}).made_by["factory"] == factory
    with pytest.raises(ValueError, match="Unknown factory 'vae'. Available: mlp_vae, conv_vae"):
        factories.build("vae", {"input_shape": [8, 8, 1]})
    with pytest.raises(ValueError, match=f"{factory} does not take 'shell'. It takes: input_shape"):
        factories.build(factory, {"input_shape": [8, 8, 1], "shell": "rm"})


def test_a_model_knows_how_it_was_made(factory):
    """As plain data, from which hub.build makes the same model."""
    first = FACTORIES[factory](
        (8, 8, 1), likelihood=keras_vae.likelihoods.Gaussian(scale=0.5), num_samples=3
    )
    made_by = json.loads(json.dumps(first.made_by))
    again = hub.build(made_by)
    assert again.made_by == first.made_by and made_by["factory"] == factory
    assert again.likelihood.scale == 0.5
    assert [w.shape for w in again.weights] == [w.shape for w in first.weights]


def test_a_prior_is_recorded_in_plain_words():
    prior = keras_vae.priors.RealNVP(2, hidden_units=(4,))
    made_by = keras_vae.mlp_vae((6,), 2, prior=prior).made_by
    expected = {"name": "realnvp", "couplings": 2, "hidden_units": [4], "activation": "silu"}
    assert made_by["arguments"]["prior"] == expected


def convolutions(network):
    """The layers with a kernel over images."""
    return [
        layer for layer in network.layers if len(getattr(layer, "kernel", np.empty(0)).shape) == 4
    ]


def test_residual_blocks_do_not_change_shapes():
    x = np.random.default_rng(0).random((2, 9, 11, 2)).astype("float32")
    model = keras_vae.conv_vae((9, 11, 2), 3, (4,), hidden_units=(), blocks=2)
    assert model.reconstruct(x).shape == x.shape
    halving, *blocks = convolutions(model.encoder)
    assert len(blocks) == 2 * 2  # two in each block
    assert {layer.output.shape for layer in blocks} == {halving.output.shape}
    assert np.isfinite(model.train_on_batch(x)).all()


@pytest.mark.parametrize("blocks", [0, 1])
def test_a_stem_works_at_full_size(blocks):
    x = np.random.default_rng(0).random((2, 17, 23, 2)).astype("float32")
    model = keras_vae.conv_vae((17, 23, 2), 3, (4, 6), hidden_units=(), blocks=blocks, stem=5)
    assert model.reconstruct(x).shape == x.shape
    first = convolutions(model.encoder)[: 1 + 2 * blocks]
    assert {layer.output.shape[1:] for layer in first} == {(17, 23, 5)}
    *others, last = convolutions(model.decoder)
    assert last.kernel.shape == (3, 3, 5, 2) and last.activation is keras.activations.linear
    wide = [layer for layer in others if layer.output.shape[1:] == (18, 24, 5)]
    assert len(wide) == 1  # the doubling; the extra row and column are cropped
    at_full_size = [layer for layer in others if layer.output.shape[1:] == (17, 23, 5)]
    assert len(at_full_size) == 2 * blocks
    assert np.isfinite(model.train_on_batch(x)).all()


@pytest.mark.parametrize(
    "wrong", [{"seed": 2**31}, {"seed": -1}, {"seed": 0.5}, {"name": "my model"}, {"name": "a.b"}]
)
def test_a_seed_or_name_that_could_not_be_saved_is_refused_before_training(make, factory, wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        make(factory, **wrong)


def test_numpy_numbers_as_arguments_are_saved(factory, make, tmp_path):
    whole = {"seed": np.int32(3), "beta": np.float32(2), "filters": (np.int64(4),)}
    if factory == "mlp_vae":
        whole["hidden_units"] = whole.pop("filters")
        whole["prior"] = {"name": "mixture", "components": np.int64(3)}
    model = make(factory, **whole)
    keras_vae.save_to_folder(model, tmp_path / "mine")
    assert hub.load(tmp_path / "mine").made_by == model.made_by
    assert json.loads((tmp_path / "mine/config.json").read_text())["arguments"]["seed"] == 3
