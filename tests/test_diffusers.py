"""Autoencoders against diffusers, from files that diffusers wrote: latents, pixels and rates."""

import json

import keras
import numpy as np
import pytest
from conftest import quick_first

import keras_vae

pytestmark = pytest.mark.usefixtures("eager")


@pytest.fixture(autouse=True, scope="module")
def _packages():
    """Here, not where tests are collected: to import them takes seconds in every process."""
    global diffusers, torch
    torch = pytest.importorskip("torch")
    diffusers = pytest.importorskip("diffusers")


TOLERANCE = 1e-4  # of the largest number
DOWN, UP = "DownEncoderBlock2D", "UpDecoderBlock2D"
ATTENTION_DOWN, ATTENTION_UP = "AttnDownEncoderBlock2D", "AttnUpDecoderBlock2D"


def levels(*widths, attention=()):
    """The settings of levels, with attention at some of them, counted from the full resolution."""
    down = [ATTENTION_DOWN if i in attention else DOWN for i in range(len(widths))]
    up = [ATTENTION_UP if kind == ATTENTION_DOWN else UP for kind in reversed(down)]
    return {
        "block_out_channels": widths,
        "down_block_types": tuple(down),
        "up_block_types": tuple(up),
    }


# (class, settings, shape of the images)
SD = levels(128, 256, 512, 512)
TINY = {"num_encoder_blocks": (1, 2), "num_decoder_blocks": (2, 1)}
TINY |= {"encoder_block_out_channels": (8, 8), "decoder_block_out_channels": (8, 8)}
SMALL_VQ = levels(8, 8, 16, attention=(2,))
REAL = {
    "sd": ("AutoencoderKL", {**SD, "layers_per_block": 2}, (1, 64, 96, 3)),
    "flux": (
        "AutoencoderKL",
        {
            **SD,
            "layers_per_block": 2,
            "latent_channels": 16,
            "use_quant_conv": False,
            "use_post_quant_conv": False,
            "scaling_factor": 0.3611,
            "shift_factor": 0.1159,
        },
        (1, 96, 64, 3),
    ),
    "taesd": ("AutoencoderTiny", {}, (1, 64, 96, 3)),
    "taesd3": ("AutoencoderTiny", {"latent_channels": 16}, (1, 64, 96, 3)),
    "vq-f4": (
        "VQModel",
        {
            **levels(128, 256, 512),
            "layers_per_block": 2,
            "num_vq_embeddings": 8192,
            "vq_embed_dim": 3,
        },
        (1, 64, 96, 3),
    ),
    "vq-f8": (
        "VQModel",
        {
            **levels(128, 256, 256, 512, attention=(3,)),
            "layers_per_block": 2,
            "latent_channels": 4,
            "num_vq_embeddings": 16384,
            "vq_embed_dim": 4,
        },
        (1, 64, 96, 3),
    ),
    "vq-f16": (
        "VQModel",
        {
            **levels(128, 128, 256, 256, 512, attention=(4,)),
            "layers_per_block": 2,
            "latent_channels": 256,
            "num_vq_embeddings": 1024,
            "vq_embed_dim": 256,
        },
        (1, 64, 96, 3),
    ),
}
SMALL = {
    "kl": ("AutoencoderKL", levels(8, 16), (2, 8, 12, 3)),
    "kl as of SDXL": (
        "AutoencoderKL",
        {**levels(8, 8), "scaling_factor": 0.13025, "force_upcast": True, "sample_size": 1024},
        (1, 6, 4, 3),
    ),
    "kl as of Flux, of grey images": (
        "AutoencoderKL",
        {
            **levels(8, 16, 8),
            "in_channels": 1,
            "out_channels": 1,
            "latent_channels": 5,
            "use_quant_conv": False,
            "use_post_quant_conv": False,
            "scaling_factor": 0.3611,
            "shift_factor": 0.1159,
        },
        (1, 20, 8, 1),
    ),
    "kl with attention at two levels": (
        "AutoencoderKL",
        {**levels(8, 16, attention=(0, 1)), "layers_per_block": 2},
        (1, 6, 8, 3),
    ),
    "kl without attention": (
        "AutoencoderKL",
        {**levels(16), "mid_block_add_attention": False},
        (3, 5, 7, 3),
    ),
    "tiny": ("AutoencoderTiny", {**TINY, "latent_channels": 3}, (2, 6, 10, 3)),
    "tiny of grey images": (
        "AutoencoderTiny",
        {**TINY, "in_channels": 1, "out_channels": 1, "scaling_factor": 0.5},
        (1, 8, 4, 1),
    ),
    "vq": ("VQModel", {**SMALL_VQ, "num_vq_embeddings": 32, "vq_embed_dim": 2}, (2, 8, 12, 3)),
    "vq without attention": (
        "VQModel",
        {**levels(8, 16), "mid_block_add_attention": False, "latent_channels": 6},
        (1, 8, 4, 3),
    ),
}


def written(folder, kind, settings):
    """A network of diffusers with random weights, which diffusers saved in a folder."""
    torch.manual_seed(0)
    groups = {} if kind == "AutoencoderTiny" else {"norm_num_groups": 4}
    if settings.get("block_out_channels", (128,))[0] == 128:
        groups = {}
    network = getattr(diffusers, kind)(**{**groups, **settings}).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.ndim == 1:  # biases start at 0, the scales of norms at 1
                parameter.add_(0.1 * torch.randn_like(parameter))
            if name == "quantize.embedding.weight":  # else all codes are alike
                parameter.copy_(torch.randn_like(parameter))
    network.save_pretrained(folder)
    return network


def images(shape):
    """Images in [0, 1], and the same as diffusers takes them."""
    x = np.random.default_rng(0).random(shape, dtype="float32")
    return x, 2 * torch.from_numpy(np.moveaxis(x, -1, 1)) - 1


def theirs(tensor):
    return np.moveaxis(tensor.detach().numpy(), 1, -1)


def error(got, expected):
    """The largest difference, relative to the largest number."""
    got = keras.ops.convert_to_numpy(got)
    assert got.shape == expected.shape
    return np.abs(got - expected).max() / np.abs(expected).max()


def check(folder, kind, settings, shape):
    network, (x, images_of_theirs) = written(folder, kind, settings), images(shape)
    model = keras_vae.load(folder)
    _CHECKS[kind](model, network, x, images_of_theirs)
    if kind != "AutoencoderTiny":
        assert model.latent_scale == settings.get("scaling_factor", 0.18215)
    assert model.latent_shift == settings.get("shift_factor", 0.0)
    return model


def check_kl(model, network, x, images_of_theirs):
    with torch.no_grad():
        posterior = network.encode(images_of_theirs).latent_dist
        mean = posterior.mean
        pixels = network.decode(mean).sample
    assert error(model.encode(x), theirs(mean)) < TOLERANCE
    assert error(model.decode(theirs(mean)), (theirs(pixels) + 1) / 2) < TOLERANCE
    rates = model.latent_rates(x).reshape(len(x), -1).sum(1)
    np.testing.assert_allclose(rates, posterior.kl().numpy(), rtol=1e-3)
    noise = (model.sample_posterior(x, seed=0) - theirs(mean)) / theirs(posterior.std)
    assert abs(noise.mean()) < 0.4 and 0.6 < noise.std() < 1.4
    scale, shift = network.config.scaling_factor, network.config.shift_factor or 0
    scaled = (theirs(mean) - shift) * scale
    np.testing.assert_allclose(model.scale_latents(theirs(mean)), scaled, rtol=1e-5, atol=1e-6)


def check_tiny(model, network, x, images_of_theirs):
    with torch.no_grad():
        codes = network.encode(images_of_theirs).latents
        pixels = network.decode(codes).sample
    assert error(model.encode(x), theirs(codes)) < TOLERANCE
    assert error(model.decode(theirs(codes)), (theirs(pixels) + 1) / 2) < TOLERANCE
    assert model.latent_scale == network.config.scaling_factor


def check_vq(model, network, x, images_of_theirs):
    with torch.no_grad():
        h = network.encode(images_of_theirs).latents
        vectors, _, (_, _, codes) = network.quantize(h)
        pixels = network.decode(h).sample
    assert error(model.encoder(x), theirs(h)) < TOLERANCE
    got, codes = model.encode(x), codes.numpy().reshape(len(x), *h.shape[2:])
    # Where two codes are equally near, rounding decides.
    assert np.mean(got == codes) > 0.99
    assert error(model.decode(codes), (theirs(pixels) + 1) / 2) < TOLERANCE
    assert error(model.decode(theirs(vectors)), (theirs(pixels) + 1) / 2) < TOLERANCE


_CHECKS = {"AutoencoderKL": check_kl, "AutoencoderTiny": check_tiny, "VQModel": check_vq}


@pytest.mark.long
@pytest.mark.parametrize("name", REAL)
def test_a_published_architecture_computes_what_diffusers_computes(tmp_path, name):
    check(tmp_path, *REAL[name])


OF_EACH_KIND = ["kl as of Flux, of grey images", "tiny", "vq"]


@pytest.mark.parametrize(
    "name", quick_first([*OF_EACH_KIND, *(name for name in SMALL if name not in OF_EACH_KIND)], 3)
)
def test_a_small_network_computes_what_diffusers_computes(tmp_path, name):
    check(tmp_path, *SMALL[name])


@pytest.mark.long
def test_settings_that_a_config_does_not_have_are_diffusers_own(tmp_path):
    kind, settings, shape = SMALL["kl"]
    network = written(tmp_path, kind, settings)
    config = json.loads((tmp_path / "config.json").read_text())
    kept = ("_class_name", *SMALL["kl"][1], "norm_num_groups")
    (tmp_path / "config.json").write_text(json.dumps({key: config[key] for key in kept}))
    model, (x, images_of_theirs) = keras_vae.load(tmp_path), images(shape)
    check_kl(model, network, x, images_of_theirs)
    assert (model.latent_scale, model.latent_shift) == (0.18215, 0.0)


def test_the_epsilon_of_keras_would_be_seen(tmp_path):
    model = check(tmp_path, *SMALL["kl"])
    x, _ = images(SMALL["kl"][2])
    right = keras.ops.convert_to_numpy(model.encoder(x))
    for layer in model.encoder.layers:
        if isinstance(layer, keras.layers.GroupNormalization):
            assert layer.epsilon == 1e-6
            layer.epsilon = 1e-3
    assert error(model.encoder(x), right) > TOLERANCE
    for layer in model.encoder.layers:
        if isinstance(layer, keras.layers.GroupNormalization):
            layer.epsilon = 1e-6
        if isinstance(layer, keras.layers.ZeroPadding2D):
            layer.padding = ((1, 0), (1, 0))
    assert error(model.encoder(x), right) > TOLERANCE


@pytest.mark.long
@pytest.mark.parametrize("kind", ["kl", "tiny", "vq"])
def test_files_of_half_precision_and_of_many_parts_are_those_of_diffusers(tmp_path, kind):
    network = written(tmp_path / "whole", *SMALL[kind][:2])
    x, _ = images(SMALL[kind][2])
    h = keras.ops.convert_to_numpy(keras_vae.load(tmp_path / "whole").encoder(x))
    network.save_pretrained(tmp_path / "parts", max_shard_size="5KB")
    assert len(list((tmp_path / "parts").glob("*-of-*.safetensors"))) > 2
    parts = keras.ops.convert_to_numpy(keras_vae.load(tmp_path / "parts").encoder(x))
    np.testing.assert_array_equal(parts, h)
    for dtype, variant, tolerance in ((torch.float16, "fp16", 2e-2), (torch.bfloat16, None, 0.1)):
        folder = tmp_path / str(dtype)
        network.to(dtype).save_pretrained(folder, variant=variant)
        loaded = keras_vae.load(folder)
        assert 0 < error(loaded.encoder(x), h) < tolerance
        assert {weight.dtype for weight in loaded.encoder.weights} == {"float32"}
