"""Pictures of latents, codes and rates: what they show is what the model says."""

import keras
import numpy as np
import pytest

import keras_vae
from keras_vae import plots
from keras_vae.plots.grids import _tiles


@pytest.fixture(scope="module")
def drawn(make):
    """Models whose latents matter, with names."""
    models = {
        "mlp": make("mlp_vae"),
        "plane": make("mlp_vae", latent_dim=2),
        "vq": make("vq_vae"),
        "vector": make("mlp_vae", (6,)),
    }
    rng = np.random.default_rng(0)
    for model in models.values():
        model.set_weights([w + 0.3 * rng.standard_normal(w.shape) for w in model.get_weights()])
    return models


def canvas(figure):
    """The pixels of a grid's figure, `(height, width, 4)`."""
    return figure.axes[0].images[0].get_array()


def rows_of(figure, rows, columns, zoom, left=0, gaps=None):
    """The tiles of a grid of 8 x 8 images, `(rows, columns, 8, 8, 4)`."""
    pixels, top, out = canvas(figure), 0, []
    for row in range(rows):
        top += gaps[row % len(gaps)] if gaps else 4
        starts = [left + 4 + c * (8 * zoom + 4) for c in range(columns)]
        out.append([pixels[top : top + 8 * zoom : zoom, s : s + 8 * zoom : zoom] for s in starts])
        top += 8 * zoom
    return np.array(out)


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_a_traversal_moves_one_latent_a_row_sorted_by_rate(drawn, grey):
    model = drawn["mlp"]
    figure = plots.traversal(model, grey, units=2, steps=3, span=2.0)
    rates = model.latent_rates(grey).mean(axis=0)
    order = np.argsort(-rates)[:2]
    assert texts(figure) == [f"latent {unit}\n{rates[unit]:.2f} nats" for unit in order]
    tiles = rows_of(figure, 2, 3, 150 // 8, left=110)
    for row, unit in enumerate(order):
        z = np.repeat(model.encode(grey[:1]), 3, axis=0)
        z[:, unit] = [-2, 0, 2]
        np.testing.assert_array_equal(tiles[row], _tiles(model.decode(z), "z"))


@pytest.mark.parametrize("kind", ["mlp", "vq"])
def test_an_interpolation_goes_from_one_reconstruction_to_the_other(drawn, grey, kind):
    model = drawn[kind]
    figure = plots.interpolation(model, grey[:2], grey[2:4], steps=5)
    tiles = rows_of(figure, 2, 7, 150 // 8)
    np.testing.assert_array_equal(tiles[:, 0], _tiles(grey[:2], "first"))
    np.testing.assert_array_equal(tiles[:, 6], _tiles(grey[2:4], "second"))
    for column, x in ((1, grey[:2]), (5, grey[2:4])):
        again = _tiles(model.reconstruct(x), "again")
        assert abs(tiles[:, column].astype(int) - again).max() <= 1  # rounding
    middle = (model.encode(grey[:2]) + model.encode(grey[2:4])) / 2
    if kind == "mlp":
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
    assert len(plots.latent_plane(model, steps=2).axes) == 1


def test_code_maps_have_the_same_colour_for_the_same_code(drawn, grey):
    model = drawn["vq"]
    vectors = keras.ops.convert_to_numpy(model.encoder(grey[:2])).reshape(-1, 4)
    model.latent.anchor.assign(vectors[::4])  # so that several codes are in use
    codes = model.encode(grey[:2])
    figure = plots.code_maps(model, grey[:2], columns=2)
    assert texts(figure) == ["image", "codes"]
    _, maps = rows_of(figure, 2, 2, 150 // 8, left=110, gaps=[16, 4])
    np.testing.assert_array_equal(maps, maps[:, ::2, ::2].repeat(2, 1).repeat(2, 2))
    colors = {}
    for code, color in zip(codes.ravel(), maps[:, ::2, ::2].reshape(-1, 4)):
        assert colors.setdefault(code, tuple(color)) == tuple(color)
    assert len(set(colors.values())) == len(colors) > 1


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
        with pytest.raises(ValueError, match="must have a GaussianLatent with one axis"):
            draw(drawn["vq"])
        with pytest.raises(ValueError, match="data are no images"):
            draw(drawn["vector"])
    with pytest.raises(ValueError, match="as many images"):
        plots.interpolation(drawn["mlp"], grey[:2], grey[:3])
    with pytest.raises(ValueError, match="needs a VQ model"):
        plots.code_maps(drawn["mlp"], grey)
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


def test_points_may_be_an_array():
    axes = plots.rate_distortion({"ours": np.array([[3.0, 1.0], [1.0, 5.0]])}).axes[0]
    assert axes.lines[0].get_xdata().tolist() == [1, 3]


def test_colour_images_are_drawn_too(make):
    model = make("conv_vae", (8, 8, 3), latent_dim=2)
    assert canvas(plots.latent_plane(model, steps=2)).shape == (16, 16, 3)
    x = keras.random.uniform((2, 8, 8, 3), seed=0)
    assert plots.traversal(model, x, units=1, steps=2).axes
    assert keras_vae.plots.interpolation(model, x[:1], x[1:]).axes
