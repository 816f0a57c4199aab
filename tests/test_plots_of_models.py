"""Pictures of latents, codes and rates: what they show is what the model says."""

import keras
import numpy as np
import pytest
from own_kinds import Grid, of_map, plain_autoencoder

import keras_vae
from keras_vae import plots
from keras_vae.plots.grids import _TEXT, _tiles
from keras_vae.plots.units import unit_ranges

pytestmark = pytest.mark.usefixtures("eager")


@pytest.fixture(scope="module")
def drawn(make):
    """Models whose latents matter, with names."""
    models = {
        "mlp": make("mlp_vae"),
        "plane": make("mlp_vae", latent_dim=2),
        "vq": make("vq_vae"),
        "vector": make("mlp_vae", (6,)),
        "flow": make("mlp_vae", prior={"name": "realnvp", "couplings": 2, "hidden_units": [4]}),
        "map": of_map(keras_vae.latents.GaussianLatent(), 8, decoder_channels=4),
        "grid": of_map(Grid(), 2),
        "plain": plain_autoencoder(),
        "counts": of_map(keras_vae.latents.GaussianLatent(), 4, "poisson", decoder_channels=2),
        "any": of_map(keras_vae.latents.GaussianLatent(), 4, size=None, decoder_channels=2),
    }
    rng = np.random.default_rng(0)
    for model in models.values():
        model.set_weights([w + 0.3 * rng.standard_normal(w.shape) for w in model.get_weights()])
    return models


def canvas(figure):
    """The pixels of a grid's figure, `(height, width, 4)`."""
    return figure.axes[0].images[0].get_array()


def rows_of(figure, rows, columns, zoom, left=0, gaps=None, head=0, foot=0):
    """The tiles of a grid of 8 x 8 images, `(rows, columns, 8, 8, 4)`."""
    pixels, top, out = canvas(figure), head, []
    for row in range(rows):
        top += gaps[row % len(gaps)] if gaps else 4
        starts = [left + 4 + c * (8 * zoom + 4) for c in range(columns)]
        out.append([pixels[top : top + 8 * zoom : zoom, s : s + 8 * zoom : zoom] for s in starts])
        top += 8 * zoom + foot
    return np.array(out)


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_a_traversal_moves_one_latent_a_row_sorted_by_rate(drawn, grey):
    model = drawn["mlp"]
    figure = plots.traversal(model, grey, units=2, steps=3, span=2.0)
    rates = model.latent_rates(grey).mean(axis=0)
    order = np.argsort(-rates)[:2]
    steps = ["-2", "0", "2"]
    labels = [f"latent {unit}\n{rates[unit]:.2f} nats" for unit in order]
    title = "sorted by mean rate, largest first"
    assert texts(figure) == [title, *steps, labels[0], *steps, labels[1]]
    tiles = rows_of(figure, 2, 3, 150 // 8, left=110, head=_TEXT, foot=_TEXT)
    for row, unit in enumerate(order):
        z = np.repeat(model.encode(grey[:1]), 3, axis=0)
        z[:, unit] = [-2, 0, 2]
        np.testing.assert_array_equal(tiles[row], _tiles(model.decode(z), "z"))


def test_a_traversal_sorts_and_moves_latents_of_other_priors_by_their_codes(drawn, grey):
    model = drawn["flow"]
    bias = model.encoder.weights[-1]
    bias.assign(np.float32([0, 40, 0, 0, 0, 0]))  # the codes of latent 1 lie about 40
    codes = model.encode(grey)
    figure = plots.traversal(model, grey, units=3, steps=2)
    variance = codes.var(axis=0, dtype="float64")
    title, *words = texts(figure)
    assert title == "sorted by variance of the posterior mean over the data, largest first"
    order = np.argsort(-variance)
    assert words[2::3] == [f"latent {unit}\n{variance[unit]:.2f}" for unit in order]
    row = order.tolist().index(1)
    ends = [float(word) for word in words[3 * row : 3 * row + 2]]
    draws = model.latent.sample_prior(1000, np.random.default_rng(0))[:, 1]
    low, high = (np.quantile(part, q) for part, q in ((draws, 0.001), (codes[:, 1], 0.999)))
    assert low < -1 and high > 39 and ends == pytest.approx([low, high], rel=0.05)
    plain = drawn["plain"]  # no prior: only between codes of the data
    low, high = np.quantile(plain.encode(grey), (0.001, 0.999), axis=0)
    for label, first, last in zip(
        *(texts(plots.traversal(plain, grey, steps=2))[k::3] for k in (3, 1, 2))
    ):
        unit = int(label.split()[1])
        assert (first, last) == (f"{low[unit]:.2g}", f"{high[unit]:.2g}")
    one = texts(plots.traversal(plain, grey[:1], units=1, steps=2))
    assert float(one[2]) - float(one[1]) == pytest.approx(2, abs=0.1)


def test_under_another_prior_a_range_is_that_of_the_codes_and_the_priors_draws(drawn, monkeypatch):
    latent = drawn["flow"].latent
    draw = lambda n, rng, shape=None: rng.uniform(5, 9, (n, 3))  # noqa: E731
    monkeypatch.setattr(latent, "sample_prior", draw)
    codes = np.random.default_rng(0).uniform(6, 10, (2000, 3)).astype("float32")
    low, high = unit_ranges(latent, codes)
    np.testing.assert_allclose([low, high], [[5] * 3, [10] * 3], atol=0.05)


def test_latents_on_a_map_are_moved_by_their_place(drawn, grey):
    model = drawn["map"]
    rates = model.latent_rates(grey).mean(axis=0)
    place = np.unravel_index(np.argmax(rates), rates.shape)
    figure = plots.traversal(model, grey, units=1, steps=3)
    assert texts(figure)[-1] == f"latent {', '.join(map(str, place))}\n{rates.max():.2f} nats"
    z = np.repeat(model.encode(grey[:1]), 3, axis=0)
    z[(slice(None), *place)] = [-3, 0, 3]
    tiles = rows_of(figure, 1, 3, 150 // 8, left=110, head=_TEXT, foot=_TEXT)
    np.testing.assert_array_equal(tiles[0], _tiles(model.decode(z), "z"))


@pytest.mark.parametrize("kind", ["mlp", "vq", "map", "grid", "plain", "any"])
def test_an_interpolation_goes_from_one_reconstruction_to_the_other(drawn, grey, kind):
    model = drawn[kind]
    figure = plots.interpolation(model, grey[:2], grey[2:4], steps=5)
    assert texts(figure) == ["original", "0 %", "25 %", "50 %", "75 %", "100 %", "original"] * 2
    tiles = rows_of(figure, 2, 7, 150 // 8, foot=_TEXT)
    np.testing.assert_array_equal(tiles[:, 0], _tiles(grey[:2], "first"))
    np.testing.assert_array_equal(tiles[:, 6], _tiles(grey[2:4], "second"))
    for column, x in ((1, grey[:2]), (5, grey[2:4])):
        again = _tiles(model.reconstruct(x), "again")
        assert abs(tiles[:, column].astype(int) - again).max() <= 1  # rounding
    middle = (model.encode(grey[:2]) + model.encode(grey[2:4])) / 2
    if not model.latent.code_spec.num_codes:
        expected = _tiles(model.decode(middle), "middle")
        assert abs(tiles[:, 3].astype(int) - expected).max() <= 1


def test_the_plane_has_an_image_at_each_place_and_the_means_of_data_beside_it(drawn, grey):
    model = drawn["plane"]
    figure = plots.latent_plane(model, grey, np.arange(12) % 3, steps=3, span=2.0)
    shown = figure.axes[0].images[0]
    assert shown.get_array().shape == (24, 24) and shown.get_extent() == [-3, 3, -3, 3]
    for place, rows, columns in (((0, 0), 8, 8), ((-2, 2), 0, 0), ((2, -2), 16, 16)):
        expected = model.decode(np.array([place], "float32"))[0, :, :, 0]
        got = shown.get_array()[rows : rows + 8, columns : columns + 8]
        np.testing.assert_allclose(got, expected, atol=1e-6)
    for label, points in enumerate(figure.axes[1].collections):
        means = model.encode(grey)[label::3]
        np.testing.assert_allclose(points.get_offsets(), means, rtol=1e-5)
    assert [t.get_text() for t in figure.axes[1].get_legend().get_texts()] == ["0", "1", "2"]
    alone = plots.latent_plane(model, steps=2)
    assert len(alone.axes) == 1 and alone.axes[0].images[0].get_extent() == [-6, 6, -6, 6]


def test_code_maps_have_the_same_colour_for_the_same_code(drawn, grey):
    model = drawn["vq"]
    vectors = keras.ops.convert_to_numpy(model.encoder(grey[:2])).reshape(-1, 4)
    model.latent.codebook.anchor.assign(vectors[::4])  # so that several codes are in use
    codes = model.encode(grey[:2])
    figure = plots.code_maps(model, grey[:2], columns=2)
    assert texts(figure) == ["image", "codes"]
    _, maps = rows_of(figure, 2, 2, 150 // 8, left=110, gaps=[16, 4])
    np.testing.assert_array_equal(maps, maps[:, ::2, ::2].repeat(2, 1).repeat(2, 2))
    colors = {}
    for code, color in zip(codes.ravel(), maps[:, ::2, ::2].reshape(-1, 4)):
        assert colors.setdefault(code, tuple(color)) == tuple(color)
    assert len(set(colors.values())) == len(colors) > 1


def test_channels_of_a_map_of_numbers_are_shown_in_grey(drawn, grey):
    figure = plots.code_maps(drawn["map"], grey[:2], columns=2)
    assert texts(figure) == ["image", *(f"channel {i}" for i in range(4))]
    _, *maps = rows_of(figure, 5, 2, 150 // 8, left=110, gaps=[16, 4, 4, 4, 4])
    codes = drawn["map"].encode(grey[:2])
    for channel, tiles in enumerate(maps):
        values = codes[..., channel]
        expected = np.rint(255 * (values - values.min()) / np.ptp(values))
        assert np.abs(tiles[:, ::2, ::2, 0] - expected).max() <= 1


@pytest.mark.parametrize("shape", [(16,), (4, 4, 2)])
def test_codes_on_a_line_or_of_several_levels_are_maps_too(drawn, grey, shape, monkeypatch):
    model, codes = drawn["grid"], drawn["grid"].encode(grey[:2])
    several = np.stack([codes, 8 - codes], -1) if len(shape) == 3 else codes.reshape(2, 16)
    monkeypatch.setattr(model.latent, "code_spec", keras_vae.latents.CodeSpec(shape, "int32", 9))
    monkeypatch.setattr(model, "encode", lambda x: several)
    figure = plots.code_maps(model, grey[:2])
    levels = ["channel 0", "channel 1"] if len(shape) == 3 else ["codes"]
    assert texts(figure) == ["image", *levels]


def test_the_use_of_a_latent_is_drawn_in_the_way_that_suits_it(drawn, grey):
    assert len(plots.latent_use(drawn["plane"], grey).axes) == 2
    for name in ("mlp", "map", "vector"):
        model = drawn[name]
        x = np.random.default_rng(0).random((5, *model.data_shape), dtype="float32")
        axes = plots.latent_use(model, x).axes[0]
        rates = np.sort(model.latent_rates(x).mean(axis=0).ravel())[::-1]
        assert axes.get_ylabel() == "mean rate, nats"
        np.testing.assert_allclose([bar.get_height() for bar in axes.patches], rates, rtol=1e-5)
    for name, what in (("flow", "posterior mean"), ("plain", "code")):
        model = drawn[name]
        use = model.latent.use(model.encode(grey))
        axes = plots.latent_use(model, grey).axes[0]
        assert axes.get_ylabel() == f"variance of the {what} over the data"
        used = use.figures["active_units"]
        assert axes.get_title() == f"{used} of 3 latents in use: active units {used}"
        assert [bar.get_height() for bar in axes.patches] == sorted(use.values, reverse=True)
    for name in ("vq", "grid"):
        model = drawn[name]
        axes = plots.latent_use(model, grey).axes[0]
        shares = np.bincount(model.encode(grey).ravel(), minlength=len(axes.patches)) / 12 / 16
        assert axes.get_ylabel() == "share of the assignments"
        assert [bar.get_height() for bar in axes.patches] == sorted(shares, reverse=True)
        assert axes.get_title().startswith(
            f"{np.sum(shares > 0)} of {len(shares)} codes in use: perplexity "
        )


def test_counts_are_shown_as_shares_of_the_largest(drawn, grey):
    model, x = drawn["counts"], np.rint(9 * grey)
    tiles = rows_of(plots.interpolation(model, x[:1], x[1:2], steps=2), 1, 4, 150 // 8)[0]
    largest = max(x[:2].max(), model.reconstruct(x[:2]).max())
    for tile, image in zip(tiles, [x[0], *model.reconstruct(x[:2]), x[1]]):
        assert np.abs(tile[..., 0] - 255 * image[..., 0] / largest).max() <= 1
    same = plots.interpolation(model, x[:1].astype("uint8"), x[1:2].astype("uint8"), steps=2)
    np.testing.assert_array_equal(canvas(same)[:, :160], canvas(same)[:, :160])


def test_a_thousand_latents_are_an_area_grey_where_they_are_idle():
    rates = np.random.default_rng(0).gamma(0.1, size=1000)
    used = np.sum(rates > 0.01)
    axes = plots.rate_bars(rates).axes[0]
    assert axes.get_title() == f"{used} of 1000 latents above 0.01 nats"
    blue, grey = (area.get_paths()[0].vertices for area in axes.collections)
    assert blue[:, 0].max() < used <= grey[:, 0].max() + 1


def test_bars_are_the_mean_rates_in_order():
    rates = np.random.default_rng(0).gamma(0.3, size=(50, 6))
    rates[:, 2] = 0.001
    axes = plots.rate_bars(rates).axes[0]
    heights = [bar.get_height() for bar in axes.patches]
    assert heights == sorted(rates.mean(axis=0), reverse=True)
    assert axes.get_title() == "5 of 6 latents above 0.01 nats"
    assert axes.get_xticklabels()[-1].get_text() == "2"
    colors = {bar.get_facecolor() for bar in axes.patches}
    assert len(colors) == 2
    means = plots.rate_bars(rates.mean(axis=0)).axes[0]
    assert [bar.get_height() for bar in means.patches] == heights


def test_the_use_of_codes_is_counted():
    codes = np.repeat([3, 1, 0], [4, 2, 2]).reshape(2, 2, 2)
    axes = plots.code_usage(codes, 5).axes[0]
    perplexity = np.exp(-sum(p * np.log(p) for p in (0.5, 0.25, 0.25)))
    assert axes.get_title() == f"3 of 5 codes in use, perplexity {perplexity:.0f}"


def test_a_curve_goes_by_rate():
    axes = plots.rate_distortion({"ours": [(3, 1), (1, 5, "beta 4")], "other": [(2, 2)]}).axes[0]
    assert [list(line.get_xdata()) for line in axes.lines] == [[1, 3], [2]]
    assert [text.get_text() for text in axes.texts] == ["beta 4"]


def test_what_cannot_be_drawn_is_refused(drawn, grey):
    with pytest.raises(ValueError, match="Only 2 latents make a plane"):
        plots.latent_plane(drawn["mlp"])
    for draw in (plots.latent_plane, lambda model: plots.traversal(model, grey)):
        with pytest.raises(ValueError, match="needs codes that are real numbers.*are integers"):
            draw(drawn["vq"])
        with pytest.raises(ValueError, match="data are not images"):
            draw(drawn["vector"])
    with pytest.raises(ValueError, match="as many images"):
        plots.interpolation(drawn["mlp"], grey[:2], grey[:3])
    with pytest.raises(ValueError, match=r"such as those of a VQ model.*numbers of shape \(3,\)"):
        plots.code_maps(drawn["mlp"], grey)
    with pytest.raises(
        ValueError, match="Without a prior, a plane is drawn about the codes of data"
    ):
        plots.latent_plane(plain_autoencoder(2))
    with pytest.raises(ValueError, match="finite numbers of shape"):
        plots.rate_bars(np.array([1.0, np.nan]))
    with pytest.raises(ValueError, match="whole numbers of at least 0"):
        plots.code_usage([0.5], 4)
    with pytest.raises(ValueError, match="below num_codes = 4"):
        plots.code_usage([1, 4], 4)
    with pytest.raises(ValueError, match="at least one point"):
        plots.rate_distortion({"none": []})
    with pytest.raises(ValueError, match="finite numbers of shape"):
        plots.rate_bars(np.zeros((0, 3)))
    for labels in (np.zeros(11), np.zeros((12, 1))):
        with pytest.raises(ValueError, match=r"labels must have shape \(12,\)"):
            plots.latent_plane(drawn["plane"], grey, labels)


@pytest.mark.parametrize(
    "draw",
    [
        plots.latent_use,
        plots.traversal,
        lambda model, x: plots.interpolation(model, x[:1], x[1:2]),
        plots.latent_plane,
        plots.code_maps,
        plots.overview,
    ],
    ids=["use", "traversal", "interpolation", "plane", "maps", "overview"],
)
def test_a_model_that_is_not_built_is_refused(grey, draw):
    networks = [keras.Sequential([keras.layers.Dense(4)]) for _ in range(2)]
    with pytest.raises(ValueError, match="^The model is not built, .*such as model.encode"):
        draw(keras_vae.VAE(*networks), grey)


def test_points_may_be_an_array():
    axes = plots.rate_distortion({"ours": np.array([[3.0, 1.0], [1.0, 5.0]])}).axes[0]
    assert axes.lines[0].get_xdata().tolist() == [1, 3]


def test_colour_images_are_drawn_too(make):
    model = make("conv_vae", (8, 8, 3), latent_dim=2)
    assert canvas(plots.latent_plane(model, steps=2)).shape == (16, 16, 3)
    x = keras.random.uniform((2, 8, 8, 3), seed=0)
    assert plots.traversal(model, x, units=1, steps=2).axes
    assert keras_vae.plots.interpolation(model, x[:1], x[1:]).axes


@pytest.fixture(scope="module")
def ladder(make):
    model = make("ladder_vae", filters=(4, 4), layers=(1, 2))
    rng = np.random.default_rng(0)
    model.set_weights([w + 0.1 * rng.standard_normal(w.shape) for w in model.get_weights()])
    return model


def test_the_rates_of_layers_are_bars_from_the_top(ladder, grey):
    for figure in (plots.layer_use(ladder, grey), plots.latent_use(ladder, grey)):
        (axes,) = figure.axes
        expected = ladder.layer_rates(grey).mean(axis=0)
        np.testing.assert_allclose([bar.get_height() for bar in axes.patches], expected, rtol=1e-5)
        assert axes.get_title() == f"3 layers, {expected.sum():.4g} nats in all"


@pytest.mark.long
def test_samples_of_a_row_have_the_upper_layers_in_common(ladder, grey):
    figure = plots.layer_samples(ladder, grey, samples=3)
    rates, code = ladder.layer_rates(grey[:1])[0], ladder.encode(grey[:1])
    labels = [f"{k} of 3 layers\n{rates[:k].sum():.1f} nats" for k in (1, 2, 3)]
    assert [text for text in texts(figure) if "layers" in text] == labels
    tiles = rows_of(figure, 3, 5, 18, left=110, foot=_TEXT)
    for k, row in enumerate(tiles, start=1):
        np.testing.assert_array_equal(row[0], _tiles(grey[:1], "x")[0])
        np.testing.assert_array_equal(
            row[1], _tiles(ladder.reconstruct(grey[:1], layers=k), "x")[0]
        )
        codes = np.repeat(code, 3, axis=0)
        codes = codes if k == 3 else ladder.sample_below(codes, k, 0)
        np.testing.assert_array_equal(row[2:], _tiles(ladder.decode(codes), "x"))
    assert (tiles[0, 2] != tiles[0, 3]).any() and (tiles[2, 2] == tiles[2, 3]).all()


@pytest.mark.parametrize("draw", [plots.layer_use, plots.layer_samples])
def test_a_model_of_one_layer_has_no_picture_of_layers(drawn, draw, grey):
    with pytest.raises(ValueError, match="of a hierarchy of latents.*has one layer"):
        draw(drawn["mlp"], grey)
