"""Rate and distortion of models of MNIST: python -m benchmarks.rate_distortion [--draw].

Trains a small MLP at several values of beta on dynamically binarised MNIST. Measures its rate and
distortion (Alemi et al. 2018, arXiv 1711.00464) on the test images, binarised once, and the squared
error of reconstructions of the grey images. Writes results/rate_distortion.json and draws
rate_distortion.png from this and other results (--draw only draws). The left plot is of binary
images, in nats; the right one of grey images, against the length of codes in bits. The two are not
comparable.
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
    parser.add_argument("--data", default="mnist", help="an .npz file of MNIST, instead of TFDS")
    parser.add_argument("--epochs", type=int, default=10, help="epochs for each beta (default: 10)")
    parser.add_argument("--draw", action="store_true", help="only draw the existing results")
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
    figure.get_layout_engine().set(wspace=0.08)
    binary, grey = figure.subplots(1, 2)
    quality = [result for key, result in results.items() if key.startswith("quality-")]
    # MNIST only: rates on different data sets are not comparable.
    quality = {result["name"]: result for result in quality if result["data"]["name"] == "mnist"}
    colours = {name: f"C{i}" for i, name in enumerate(sorted(quality))}
    points = results.get("rate_distortion", {}).get("points", [])
    _draw_binary(binary, points, quality, colours)
    _draw_grey(grey, results.get("classical-mnist", {}).get("rows", []), quality, colours)
    for axes in (binary, grey):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
        if axes.get_legend_handles_labels()[1]:  # a smoke run may have drawn nothing
            axes.legend(frameon=False, fontsize=8)
    return figure


def _draw_binary(axes, points, quality, colours):
    axes.set_title("MNIST, binary: -ELBO = rate + distortion (dotted)", fontsize=10, loc="left")
    axes.set_xlabel("rate: KL(q(z|x) || p(z)), nats per image", fontsize=9)
    axes.set_ylabel("distortion: -E[log p(x|z)], nats per image", fontsize=9)
    curve = [(point["rate"], point["distortion"]) for point in points]
    axes.plot(*zip(*curve), "o-", color="0.45", markersize=4, label="small MLP at several beta")
    for point, place in zip(points, curve):
        label = f"beta {point['beta']:g}"
        axes.annotate(label, place, (5, 3), textcoords="offset points", fontsize=7, color="0.3")
    for name, result in sorted(quality.items()):
        if record.is_code_length(result["likelihood"]):
            place = (result["metrics"]["rate"], result["metrics"]["distortion"])
            axes.plot(*place, "D", color=colours[name], markersize=7, label=name)
            curve.append(place)
    low, high = min(map(sum, curve)), max(map(sum, curve))
    (left, right), (_, top) = axes.get_xlim(), axes.get_ylim()
    axes.autoscale(False)
    for total in range(math.floor(low / 10) * 10, math.ceil(high), 10):
        axes.plot((left, right), (total - left, total - right), ":", color="0.75", zorder=0)
        # The label where the line enters the picture, on the left or from above.
        x, y = max(left, total - top), min(top, total - left)
        axes.annotate(str(total), (x, y), (2, 1), textcoords="offset points", fontsize=7, c="0.6")


def _draw_grey(axes, rows, quality, colours):
    axes.set_title("MNIST, grey: error of codes of so many bits", fontsize=10, loc="left")
    axes.set_xlabel("length of an image's code, bits", fontsize=9)
    axes.set_ylabel("squared error per pixel", fontsize=9)
    axes.set_xscale("log")
    axes.set_yscale("log")
    lines = {}
    for row in rows:
        if "bits" in row:
            lines.setdefault((row["method"], row.get("codebooks")), []).append(row)
    labels = {None: "K-means of whole images", 1: "K-means of 4 x 4 patches, one codebook"}
    for (_, books), line in lines.items():
        axes.plot(
            [row["bits"] for row in line],
            [row["mse"] for row in line],
            {None: "s-", 1: "^-"}.get(books, "v-"),
            color={None: "0.3", 1: "0.65"}.get(books, "0.45"),
            markersize=4,
            label=labels.get(books, f"K-means of 4 x 4 patches, {books} codebooks"),
        )
    for name, result in sorted(quality.items()):
        metrics = result["metrics"]
        if "perplexity" in metrics:
            bits = metrics["rate"] / math.log(2)
            axes.plot(bits, metrics["mse"], "D", color=colours[name], markersize=7, label=name)
    axes.set_xticks([3, 10, 30, 100, 300], ["3", "10", "30", "100", "300"])
    axes.minorticks_off()
    ticks = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])


if __name__ == "__main__":
    main()
