"""What an image costs and what is lost of it: python -m benchmarks.rate_distortion [--draw].

Trains a small MLP at each of several beta on dynamically binarised MNIST and measures its rate and
distortion (Alemi et al. 2018, arXiv 1711.00464) on the test images, binarised once, and the squared
error of the reconstructions of the grey ones. Writes results/rate_distortion.json and draws
rate_distortion.png from it and the other results, as --draw alone does: on the left binary images,
in nats; on the right grey ones, against the length of codes in bits. The two do not compare.
"""

import json
import math
from pathlib import Path

from benchmarks import record

BETAS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
MODEL = {"latent_dim": 20, "hidden_units": [256, 256], "activation": "silu"}
RATE = 2e-3  # of Adam, falling to zero by a cosine
BATCH = 128
PICTURE = Path(__file__).parent / "rate_distortion.png"


def main():
    parser = record.parser(__doc__)
    parser.add_argument("--data", default="mnist", help="an .npz of MNIST, to do without TFDS")
    parser.add_argument("--epochs", type=int, default=10, help="of each beta (default: 10)")
    parser.add_argument("--draw", action="store_true", help="draw from the results that there are")
    options = parser.parse_args()
    picture = record.folder(options) / PICTURE.name if options.smoke else PICTURE
    if not options.draw:
        _measure(options)

    from keras_vae import plots

    results = {
        path.stem: json.loads(path.read_text()) for path in record.folder(options).glob("*.json")
    }
    plots.save(draw(results), picture)


def _measure(options):
    betas = BETAS
    if options.smoke:
        betas, options.epochs = (1.0, 4.0), 1
        options.data = record.digits(record.folder(options) / "digits.npz")

    from keras_vae import data

    parts = data.load(options.data)
    points = [_point(beta, parts, options.epochs) for beta in betas]
    result = {
        "what": "an mlp_vae for each beta: nats per test image, binarised once; mse of grey ones",
        "protocol": "mnist-dynamic",
        "model": MODEL,
        "training": {"epochs": options.epochs, "batch_size": BATCH, "adam": RATE, "seed": 0},
        "points": points,
    }
    record.write(options, "rate_distortion", result)


def _point(beta, parts, epochs):
    """Trains at one beta and measures."""
    import keras

    import keras_vae
    from keras_vae import data

    keras.utils.set_random_seed(0)
    model = keras_vae.mlp_vae(parts.x_train.shape[1:], beta=beta, seed=0, **MODEL)
    steps = epochs * math.ceil(len(parts.x_train) / BATCH)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, steps)))
    model.fit(parts.x_train, batch_size=BATCH, epochs=epochs, verbose=0)
    binary = keras_vae.evaluate(model, data.binarized_once(parts)[1], num_samples=10)
    grey = keras_vae.evaluate(model, parts.x_test, num_samples=1)
    point = {"beta": beta, **{key: binary[key] for key in ("rate", "distortion", "elbo")}}
    point |= {key: grey[key] for key in ("mse", "active_units")}
    print("  ".join(f"{key} {value:.5g}" for key, value in point.items()), flush=True)
    return point


def draw(results: dict):
    """Returns the picture of what results, `{name of the file: its content}`, hold."""
    from matplotlib.figure import Figure

    figure = Figure((10, 4.4), dpi=110, layout="constrained")
    binary, grey = figure.subplots(1, 2)
    quality = [result for key, result in sorted(results.items()) if key.startswith("quality-")]
    quality = {result["name"]: result for result in quality}
    _draw_binary(binary, results.get("rate_distortion", {}).get("points", []), quality)
    _draw_grey(grey, results.get("classical-mnist", {}).get("rows", []), quality)
    for axes in (binary, grey):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_binary(axes, points, quality):
    axes.set_title("Binary MNIST, test images: rate + distortion = -ELBO", fontsize=10)
    axes.set_xlabel("rate: KL(q(z|x) || p(z)), nats per image")
    axes.set_ylabel("distortion: -E[log p(x|z)], nats per image")
    x = [point["rate"] for point in points]
    y = [point["distortion"] for point in points]
    axes.plot(x, y, "o-", color="0.45", markersize=4, label="small MLP, by beta")
    for point in points:
        place = (point["rate"], point["distortion"])
        axes.annotate(f"{point['beta']:g}", place, (4, 4), textcoords="offset points", fontsize=7)
    for i, (name, result) in enumerate(quality.items()):
        if result["likelihood"] == "bernoulli":
            metrics = result["metrics"]
            where = metrics["rate"], metrics["distortion"]
            axes.plot(*where, "D", color=f"C{i}", markersize=7, label=name)
    axes.legend(frameon=False, fontsize=8)


def _draw_grey(axes, rows, quality):
    axes.set_title("Grey MNIST, test images", fontsize=10)
    axes.set_xlabel("length of an image's code, bits")
    axes.set_ylabel("squared error per pixel")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    for row in rows:
        if "bits" in row:
            axes.plot(row["bits"], row["mse"], "s", color="0.45", markersize=5)
    for i, (name, result) in enumerate(quality.items()):
        if "perplexity" in result["metrics"]:
            bits = result["metrics"]["rate"] / math.log(2)
            axes.plot(bits, result["metrics"]["mse"], "D", color=f"C{i}", markersize=7, label=name)


if __name__ == "__main__":
    main()
