"""Classical latent-variable models on the same data: python -m benchmarks.classical [DATASET].

They are fitted by scikit-learn to grey images scaled to [0, 1] and measured on the test images, as
our models of grey images are. All densities are of the same quantity, the d = 784 values of an
image as real numbers (no dequantisation), in nats per image:

- PCA: the Gaussian of probabilistic PCA, N(m, W W' + s^2 I), with its exact log-likelihood
  (Tipping & Bishop 1999, eq. 4), and the squared error of its projections.
- a Gaussian mixture by EM over q principal components, times N(0, s^2) for each of the other
  d - q directions, as in probabilistic PCA. The components are a rotation of the pixels: the
  product is a density over all of them, and that of PCA if the mixture has one part.
- K-means: the squared error of the nearest of K centroids, of the whole image (log2 K bits), and of
  patches of 4 x 4 with a codebook each, or one for all (log2 K bits a patch): 49 patches of 512
  codes are as many bits as a vq-mnist image.

All are fitted to all training images except K-means, which is fitted to the first 20,000. Writes
results/classical-DATASET.json.
"""

import math
import time
import warnings

import numpy as np

from benchmarks import record
from keras_vae import data, registry
from keras_vae.checks import scale

LATENTS = (2, 16, 64, 128)  # in addition to those of the published models
PARTS = ((10, 40), (20, 40))  # components of a mixture, over so many principal components
CODES = (8, 64, 512)  # of K-means
PATCH = 4
STEPS = 50  # at most, of EM and of K-means


def main():
    parser = record.parser(__doc__)
    grey = [name for name, record in data.DATASETS.items() if record.shape[-1] == 1]
    parser.add_argument("dataset", nargs="?", default="mnist", choices=grey)
    parser.add_argument("--data", help="an .npz file of the data set, instead of TFDS")
    parser.add_argument(
        "--images", type=int, default=20_000, help="training images for K-means (default: 20000)"
    )
    options = parser.parse_args()
    if options.smoke:
        source = record.digits(record.folder(options) / "digits.npz")
        latents, parts, codes = {2}, ((2, 3),), (16,)
    else:
        source = options.data or options.dataset
        latents, parts, codes = {*LATENTS, *_published_latents(options.dataset)}, PARTS, CODES
    loaded = data.load(source)
    train, test = (_flat(part) for part in (loaded.x_train, loaded.x_test))
    shape = loaded.x_test.shape[1:3]

    rows = [{"method": "mean image", "mse": _mse(test - train.mean(axis=0))}]
    for q in sorted(latents):
        rows.append(_time(pca, train, test, q))
    some = train[: options.images]
    rows += [_time(kmeans, some, test, k) for k in codes]
    for shared in (False, True):
        rows += [_time(patches, some, test, shape, k, shared=shared) for k in codes]
    rows += [_time(mixture, train, test, components, q) for components, q in parts]
    for row in rows:
        row.setdefault("train_images", len(train))
    result = {
        "what": "grey images as real numbers in [0, 1]; log_likelihood: nats per test image; mse: "
        "mean squared error per pixel of the test images; bits: of the code of an image",
        "data": {"name": options.dataset, "version": data.DATASETS[options.dataset].version},
        "protocol": f"{options.dataset}-grey",
        "test_images": len(test),
        "rows": rows,
    }
    record.write(options, f"classical-{options.dataset}", result)


def pca(train, test, q: int) -> dict:
    """Measures probabilistic PCA with q latents, the maximum likelihood fit in closed form."""
    from sklearn.decomposition import PCA

    model = PCA(q, svd_solver="covariance_eigh").fit(train)
    residual = test - model.inverse_transform(model.transform(test))
    return {
        "method": "PCA",
        "latents": q,
        **_likelihood(model.score_samples(test), test.shape[1]),
        "mse": _mse(residual),
    }


def mixture(train, test, components: int, q: int) -> dict:
    """Measures a mixture of full-covariance Gaussians over q principal components."""
    axes, model = fit_mixture(train, components, q)
    return {
        "method": "Gaussian mixture",
        "components": components,
        "latents": q,
        **_likelihood(log_density(axes, model, test), test.shape[1]),
        "converged": bool(model.converged_),
        "steps": int(model.n_iter_),
    }


def fit_mixture(train, components: int, q: int):
    """Returns the principal axes and the mixture over them."""
    from sklearn.decomposition import PCA
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    axes = PCA(q, svd_solver="covariance_eigh").fit(train)
    model = GaussianMixture(components, max_iter=STEPS, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the result says so
        model.fit(axes.transform(train))
    return axes, model


def log_density(axes, model, x):
    """log p(x) = log p(z) + log N(residual; 0, s^2) over the directions left, in nats, `(n,)`."""
    z = axes.transform(x)
    residual = x - axes.inverse_transform(z)
    others, variance = x.shape[1] - z.shape[1], axes.noise_variance_
    log_noise = -0.5 * others * math.log(2 * math.pi * variance)
    log_noise = log_noise - np.sum(residual**2, axis=1) / (2 * variance)
    return model.score_samples(z) + log_noise


def kmeans(train, test, codes: int) -> dict:
    """Measures K-means: each image becomes the nearest centroid."""
    model = _cluster(train, codes)
    return {
        "method": "K-means",
        "codes": codes,
        "train_images": len(train),
        "bits": math.log2(codes),
        "mse": _quantised_mse(model, test),
        "converged": bool(model.n_iter_ < STEPS),
        "steps": int(model.n_iter_),
    }


def patches(train, test, shape, codes: int, *, shared: bool) -> dict:
    """Measures K-means of patches: each becomes the nearest centroid of its place, or of all."""
    train, test = (_patches(part, shape) for part in (train, test))  # (n, places, pixels)
    n, places, pixels = train.shape
    if shared:
        some = np.random.default_rng(0).choice(n * places, min(n * places, 200_000), replace=False)
        model = _cluster(train.reshape(-1, pixels)[some], codes)
        models = [model] * places
    else:
        models = [_cluster(train[:, place], codes) for place in range(places)]
    errors = [_quantised_mse(model, test[:, place]) for place, model in enumerate(models)]
    return {
        "method": "K-means of patches",
        "patches": places,
        "codebooks": 1 if shared else places,
        "codes": codes,
        "bits": places * math.log2(codes),
        "mse": float(np.mean(errors)),
        "train_images": n,
        **({"train_patches": len(some)} if shared else {}),
        "converged": all(bool(model.n_iter_ < STEPS) for model in models),
        "steps": max(int(model.n_iter_) for model in models),
    }


def _cluster(x, codes):
    from sklearn.cluster import KMeans

    x = x.astype("float32")  # twice as fast
    # A patch at the border takes few values: one code for each loses nothing.
    codes = min(codes, len(np.unique(x, axis=0)))
    return KMeans(codes, n_init=1, max_iter=STEPS, random_state=0).fit(x)


def _quantised_mse(model, x):
    return _mse(x - model.cluster_centers_[model.predict(x.astype("float32"))])


def _patches(x, shape):
    """(n, height * width) -> (n, places, PATCH * PATCH)"""
    height, width = shape
    x = x.reshape(len(x), height // PATCH, PATCH, width // PATCH, PATCH)
    return x.transpose(0, 1, 3, 2, 4).reshape(len(x), -1, PATCH * PATCH)


def _published_latents(dataset):
    """Returns the numbers of latents, and of active ones, of the published models of a data set."""
    entries = list(registry.entries().values())
    entries = [entry for entry in entries if entry["data"]["name"] == dataset]
    widths = {entry["arguments"].get("latent_dim") for entry in entries}
    active = {entry["metrics"].get("active_units") for entry in entries}
    return (widths | active) - {None, 0}


def _likelihood(values, d):
    mean = float(np.mean(values))
    return {
        "log_likelihood": mean,
        "log_likelihood_stderr": float(np.std(values) / math.sqrt(len(values))),
        "bits_per_dim": -mean / (d * math.log(2)),
    }


def _time(function, *arguments, **options):
    start = time.perf_counter()
    row = function(*arguments, **options)
    row["seconds"] = round(time.perf_counter() - start, 1)
    print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    return row


def _mse(residual):
    return float(np.mean(np.square(residual), dtype="float64"))


def _flat(images):
    return scale(images).reshape(len(images), -1).astype("float64")


if __name__ == "__main__":
    main()
