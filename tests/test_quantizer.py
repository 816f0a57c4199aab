"""Tests of the vector quantizer against NumPy."""

import keras
import numpy as np
import pytest
from conftest import quick_first
from keras import ops
from reference_steps import gradient

import keras_vae
from keras_vae.latents import CodebookUse, VectorQuantizer

K, D = 6, 3


def numpy(t):
    return ops.convert_to_numpy(t)


def quantizer(codebook=None, frequency=None, **kwargs):
    latent = VectorQuantizer(K, D, seed=0, **kwargs)
    latent.build((None, 4, D))
    if codebook is not None:
        latent.codebook.anchor.assign(codebook)
    if frequency is not None:
        latent.codebook.frequency.assign(np.broadcast_to(np.asarray(frequency, "float32"), (K,)))
    return latent


@pytest.fixture
def codebook():
    return np.random.default_rng(1).normal(size=(K, D)).astype("float32")


@pytest.fixture
def h():
    return np.random.default_rng(2).normal(size=(10, 4, D)).astype("float32")


def nearest(h, codebook):
    distance = ((h[..., None, :].astype("float64") - codebook) ** 2).sum(-1)
    return distance.argmin(-1)


def moving_average(codebook, frequency, flat, codes, decay):
    """van den Oord et al. 2017, appendix A.1, with N_i and m_i divided by the number of vectors."""
    onehot = np.eye(K)[codes]
    new = decay * frequency + (1 - decay) * onehot.mean(0)
    running = decay * frequency[:, None] * codebook + (1 - decay) * onehot.T @ flat / len(flat)
    return running / new[:, None], new


def model_of(x, *, epochs=0, **kwargs):
    """A VQ model on vectors of length 8, trained for `epochs`."""
    encoder = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(8), keras.layers.Reshape((4, 2))]
    )
    decoder = keras.Sequential([keras.Input((4, 2)), keras.layers.Flatten(), keras.layers.Dense(8)])
    latent = VectorQuantizer(5, 2, seed=0, **kwargs)
    model = keras_vae.VAE(encoder, decoder, latent, likelihood="gaussian", seed=0)
    model.compile(keras.optimizers.Adam(0.05))
    if epochs:
        model.fit(x, epochs=epochs, verbose=0)
    return model


def test_every_position_gets_its_nearest_code(h, codebook):
    latent = quantizer(codebook)
    draw = latent.draw(ops.convert_to_tensor(h))
    codes = nearest(h, codebook)
    np.testing.assert_array_equal(numpy(draw.code[0]), codes)
    np.testing.assert_array_equal(numpy(latent.code(ops.convert_to_tensor(h))), codes)
    np.testing.assert_allclose(numpy(draw.decoder_input), codebook[codes], atol=1e-6)


def test_a_large_codebook_is_searched_in_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    codebook, h = rng.normal(size=(K, D)).astype("float32"), rng.normal(size=(3, 4, D))
    at_once = numpy(quantizer(codebook).code(ops.convert_to_tensor(h)))
    monkeypatch.setattr("keras_vae.latents.codebook.BLOCK", 4)
    np.testing.assert_array_equal(quantizer(codebook).code(ops.convert_to_tensor(h)), at_once)
    np.testing.assert_array_equal(at_once, nearest(h, codebook))


@pytest.mark.parametrize("offset", [1e3, -1e4])
def test_a_large_common_offset_does_not_change_the_codes(h, codebook, offset):
    shifted, moved = (h + np.float32(offset)), (codebook + np.float32(offset))
    codes = numpy(quantizer(moved).code(ops.convert_to_tensor(shifted)))
    np.testing.assert_array_equal(codes, nearest(shifted, moved))


def test_the_rate_is_the_code_length(h, codebook):
    rate = numpy(quantizer(codebook).draw(ops.convert_to_tensor(h)).rate)
    np.testing.assert_allclose(rate, np.full((1, 10), 4 * np.log(K)), rtol=1e-6)


def test_the_penalty_is_the_squared_distance_to_the_codes(h, codebook):
    squared = ((h - codebook[nearest(h, codebook)]) ** 2).sum((1, 2))
    draw = quantizer(codebook, commitment=0.3).draw(ops.convert_to_tensor(h))
    np.testing.assert_allclose(numpy(draw.terms["commitment"]), squared, rtol=1e-5)
    np.testing.assert_allclose(numpy(draw.penalty), 0.3 * squared, rtol=1e-5)
    draw = quantizer(codebook, commitment=0.3, codebook_update="gradient").draw(
        ops.convert_to_tensor(h)
    )
    np.testing.assert_allclose(numpy(draw.penalty), 1.3 * squared, rtol=1e-5)


def test_the_gradient_passes_straight_through_the_codes(h, codebook):
    latent = quantizer(codebook)
    slope = np.arange(h.size, dtype="float32").reshape(h.shape)
    got = gradient(lambda h: latent.draw(h).decoder_input * ops.convert_to_tensor(slope), h)
    np.testing.assert_allclose(got, slope)


@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_only_commitment_pulls_the_encoder_towards_the_codes(h, codebook, update):
    latent = quantizer(codebook, commitment=0.3, codebook_update=update)
    pull = gradient(lambda h: latent.draw(h).penalty, h)
    np.testing.assert_allclose(pull, 0.6 * (h - codebook[nearest(h, codebook)]), atol=1e-5)


def test_the_codes_follow_the_moving_average_of_their_vectors(h, codebook):
    frequency = np.random.default_rng(3).dirichlet(np.ones(K)).astype("float32")
    latent = quantizer(codebook, frequency, decay=0.9, revive_below=0)
    for _ in range(3):
        codes = nearest(h, codebook)
        latent.draw(ops.convert_to_tensor(h), training=True)
        codebook, frequency = moving_average(
            codebook, frequency, h.reshape(-1, D), codes.reshape(-1), 0.9
        )
        np.testing.assert_allclose(numpy(latent.codebook.vectors), codebook, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(numpy(latent.codebook.frequency), frequency, rtol=1e-5)


def test_the_moving_average_does_not_depend_on_the_batch_size(h, codebook):
    once = quantizer(codebook, 1 / K, revive_below=0)
    twice = quantizer(codebook, 1 / K, revive_below=0)
    once.draw(ops.convert_to_tensor(h), training=True)
    twice.draw(ops.convert_to_tensor(np.concatenate([h, h])), training=True)
    np.testing.assert_allclose(
        numpy(once.codebook.vectors), numpy(twice.codebook.vectors), rtol=1e-5
    )
    np.testing.assert_allclose(
        numpy(once.codebook.frequency), numpy(twice.codebook.frequency), rtol=1e-5
    )


@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_the_first_batch_places_every_code_on_a_different_vector(h, update):
    latent = quantizer(codebook_update=update, decay=0.999)
    latent.draw(ops.convert_to_tensor(h), training=True)
    flat = h.reshape(-1, D)
    distance = abs(numpy(latent.codebook.vectors)[:, None] - flat).max(-1)
    np.testing.assert_allclose(distance.min(1), 0, atol=1e-6)
    assert len(set(distance.argmin(1))) == K


def test_a_first_batch_of_fewer_vectors_than_codes_places_every_code(h):
    latent = quantizer(decay=0.999)
    latent.draw(ops.convert_to_tensor(h[:1]), training=True)
    distance = abs(numpy(latent.codebook.vectors)[:, None] - h[0]).max(-1)
    np.testing.assert_allclose(distance.min(1), 0, atol=1e-6)
    assert len(set(distance.argmin(1))) == 4


@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_only_dead_codes_are_moved_to_vectors_of_the_batch(h, codebook, update):
    codebook[2] = 100
    frequency = np.full(K, 1 / K, "float32")
    frequency[2] = 1e-6
    latent = quantizer(codebook, frequency, decay=0.9, codebook_update=update)
    latent.draw(ops.convert_to_tensor(h), training=True)
    after = numpy(latent.codebook.vectors)
    assert abs(h.reshape(-1, D) - after[2]).max(-1).min() < 1e-6
    assert numpy(latent.codebook.frequency)[2] == pytest.approx(1 / K)
    others = np.arange(K) != 2
    expected = codebook
    if update == "ema":
        codes = nearest(h, codebook).reshape(-1)
        frequency[2] = 1  # any value: code 2 is not compared
        expected = moving_average(codebook, frequency, h.reshape(-1, D), codes, 0.9)[0]
    np.testing.assert_allclose(after[others], expected[others], rtol=1e-4, atol=1e-5)


def test_revival_can_be_turned_off(h, codebook):
    codebook[2] = 100
    latent = quantizer(codebook, [1 / K, 1 / K, 1e-6, 1 / K, 1 / K, 1 / K], revive_below=0)
    latent.draw(ops.convert_to_tensor(h), training=True)
    np.testing.assert_allclose(numpy(latent.codebook.vectors)[2], 100)


def test_revival_can_be_turned_off_without_an_average(h, codebook):
    codebook[2] = 100  # which no vector is near, so its frequency is 0 at once
    latent = quantizer(codebook, [1 / K] * K, decay=0.0, revive_below=0)
    for _ in range(2):
        latent.draw(ops.convert_to_tensor(h), training=True)
    np.testing.assert_allclose(numpy(latent.codebook.vectors)[2], 100)


@pytest.mark.parametrize("update", quick_first(["ema", "gradient"]))
def test_codes_move_in_fit_but_not_in_evaluate(vectors, update):
    model = model_of(vectors, epochs=1, codebook_update=update)
    before = numpy(model.latent.codebook.vectors)
    model.evaluate(vectors, verbose=0)
    model.predict(vectors, verbose=0)
    model.encode(vectors)
    model.elbo(vectors)
    np.testing.assert_array_equal(numpy(model.latent.codebook.vectors), before)
    model.fit(vectors, verbose=0)
    assert (numpy(model.latent.codebook.vectors) != before).any(axis=1).sum() >= 2


def test_freezing_the_latent_stops_its_codes_without_recompiling(vectors):
    model = model_of(vectors, epochs=1)
    before = numpy(model.latent.codebook.vectors), numpy(model.encoder.weights[0])
    model.latent.trainable = False
    model.fit(vectors, verbose=0)
    np.testing.assert_array_equal(numpy(model.latent.codebook.vectors), before[0])
    assert (numpy(model.encoder.weights[0]) != before[1]).any()
    model.latent.trainable = True
    model.fit(vectors, verbose=0)
    assert (numpy(model.latent.codebook.vectors) != before[0]).any()


@pytest.mark.usefixtures("eager")
def test_freezing_codes_that_the_optimizer_trains_needs_recompiling_as_in_keras(vectors):
    model = model_of(vectors, epochs=1, codebook_update="gradient")
    before = numpy(model.latent.codebook.vectors)
    model.latent.trainable = False
    model.compile("adam")
    model.fit(vectors, verbose=0)
    np.testing.assert_array_equal(numpy(model.latent.codebook.vectors), before)


def test_the_optimizer_moves_the_codes_towards_their_vectors(vectors):
    model = model_of(vectors, codebook_update="gradient", commitment=0.0)
    model.encoder.trainable = False
    model.compile(keras.optimizers.Adam(0.02))
    # Not shuffled: the initial codes depend on the order of the data.
    history = model.fit(vectors, epochs=22, shuffle=False, verbose=0).history
    assert history["commitment"][-1] < 0.7 * history["commitment"][1]  # 0: not placed yet


@pytest.mark.parametrize("batch_size", [5, 12])
def test_perplexity_and_usage_cover_all_codes_of_an_epoch(vectors, frozen, batch_size):
    model, _ = frozen
    got = model.evaluate(vectors, batch_size=batch_size, verbose=0, return_dict=True)
    p = np.bincount(model.encode(vectors).reshape(-1), minlength=5) / 48
    entropy = -sum(q * np.log(q) for q in p if q > 0)
    assert got["perplexity"] == pytest.approx(np.exp(entropy), rel=1e-5)
    assert got["codebook_usage"] == pytest.approx((p > 0).mean())


def test_codebook_use_accumulates_batches_until_reset():
    use = CodebookUse(4)
    use.update_state(np.array([[0, 0], [1, 1]]))
    use.update_state(np.array([[1, 1]]))
    result = {name: float(numpy(value)) for name, value in use.result().items()}
    p = np.array([2, 4]) / 6
    assert result["perplexity"] == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-5)
    assert result["codebook_usage"] == 0.5
    use.reset_state()
    use.update_state(np.array([3]))
    assert float(numpy(use.result()["perplexity"])) == pytest.approx(1)
    assert CodebookUse.from_config(use.get_config()).num_codes == 4


def test_codes_and_their_vectors_decode_to_the_same_images(vectors, frozen):
    model, _ = frozen
    codes = model.encode(vectors)
    assert codes.shape == (12, 4) and codes.dtype == "int32"
    by_vector = model.decode(numpy(model.latent.codebook.vectors)[codes])
    np.testing.assert_allclose(model.decode(codes), by_vector, rtol=1e-6)
    np.testing.assert_array_equal(model.sample_posterior(vectors), codes)


@pytest.mark.parametrize(
    "z, message",
    [
        (np.zeros((2, 3), int), r"integer codes of shape \(n, 4\)"),
        (np.zeros((2, 4)), "integer codes of shape"),
        (np.full((2, 4, 2), np.nan), "z must be finite"),
        (np.zeros((0, 4), int), "integer codes of shape"),
        (np.full((2, 4), 5), r"Codes must be in \[0, 4\]. Received 5 to 5"),
        (np.full((2, 4), -1), r"Codes must be in \[0, 4\]. Received -1 to -1"),
    ],
)
def test_invalid_codes_are_refused(frozen, z, message):
    with pytest.raises(ValueError, match=message):
        frozen[0].decode(z)


def test_a_vq_model_without_a_prior_refuses_to_generate(frozen):
    with pytest.raises(ValueError, match="generates images from a trained prior"):
        frozen[0].generate(3)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_codes": 0}, "num_codes must be a whole number >= 1"),
        ({"code_dim": 1.5}, "code_dim must be a whole number"),
        ({"commitment": -1}, "commitment must be a finite number >= 0"),
        ({"codebook_update": "sgd"}, 'codebook_update must be "ema", "gradient" or "fixed"'),
        ({"decay": 1.1}, r"decay must be a finite number in \[0, 1\]"),
        ({"revive_below": -0.1}, r"revive_below must be a finite number in \[0, 1\]"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        VectorQuantizer(**arguments)


def test_a_tensor_of_another_width_is_refused():
    with pytest.raises(ValueError, match=r"takes \(n, \*positions, code_dim = 3\)"):
        VectorQuantizer(K, D).build((None, 4, 2))


def test_a_quantizer_survives_serialisation():
    latent = VectorQuantizer(K, D, commitment=0.1, decay=0.5, codebook_update="gradient", seed=2)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(latent))
    assert again.get_config() == latent.get_config()
