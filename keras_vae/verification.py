"""Published figures: measured under a named protocol, and recomputed to verify them."""

from keras_vae import data, hub, registry
from keras_vae.evaluation import evaluate
from keras_vae.hub.fingerprint import fingerprint, tolerance

# What `evaluate` says of the observed images. All other figures are of the images as they are.
_OF_OBSERVED = (
    *("elbo", "rate", "distortion", "nll", "bits_per_dim", "num_samples"),
    *("latent_rates", "layer_rates"),
)


def published_metrics(model, protocol: str, *, source=None, num_samples=100) -> dict:
    """Measures a model under a named protocol, as the figures in registry entries were measured.

    Args:
        model: a `keras_vae.VAE`.
        protocol: a name in `keras_vae.data.PROTOCOLS`. Under `"mnist-dynamic"` and others of that
            kind, a model with a likelihood of binary data has its likelihoods measured on test
            images binarised once (see `data.binarized_once`), its errors on grey ones. Under
            `"cifar10-levels"` and `"mnist-static"` all is measured on the test images as they are.
        source: an .npz file of the protocol's data set. Defaults to None, tensorflow-datasets.
        num_samples: posterior samples K per example. Defaults to 100.

    Returns:
        The dict of `evaluate`, and `protocol`.

    Raises:
        ValueError: if there is no such protocol, the data has no test images, or the likelihood is
            of other values than theirs, such as binary ones under `"cifar10-levels"`.
    """
    if protocol not in data.PROTOCOLS:
        raise ValueError(f"Unknown protocol {protocol!r}. Available: {', '.join(data.PROTOCOLS)}.")
    record, likelihood = data.PROTOCOLS[protocol], model.likelihood
    _check_values(protocol, record, likelihood)
    parts = data.load(record.dataset if source is None else source)
    if parts.x_test is None:
        raise ValueError(f"{source} must hold x_test, the images to measure.")
    if record.binary is None or likelihood.observes != "binary":
        return {"protocol": protocol, **evaluate(model, parts.x_test, num_samples=num_samples)}
    result = evaluate(model, record.binary(parts), num_samples=num_samples)
    grey = evaluate(model, parts.x_test, num_samples=1)
    result |= {name: value for name, value in grey.items() if _quantity(name) not in _OF_OBSERVED}
    return {"protocol": protocol, **result}


def _check_values(protocol, record, likelihood):
    """Refuses figures that would look like those of others, but are of other values."""
    values = data.DATASETS[record.dataset].values
    same = likelihood.observes == values and (values != "levels" or likelihood.num_levels == 256)
    if record.binary is None and likelihood.is_code_length and not same:
        raise ValueError(
            f"{protocol} measures {record.images}. A {type(likelihood).__name__} likelihood is of "
            f"other values than these: its code lengths would not be comparable."
        )


def verify(name: str, *, source=None, quick=False) -> list[dict]:
    """Recomputes the published figures of a model on this machine and backend.

    Args:
        name: name of a published model.
        source: an .npz file of its data set. Defaults to None, tensorflow-datasets.
        quick: check only the size, sha256 and fingerprint of the weights, which needs no data.

    Returns:
        A list of dicts of `quantity`, `got`, `published`, `tolerance`, `pass`. The last three are
        None where no one has published a fingerprint yet, as of autoencoders that others trained;
        the bytes of their files are proven by sha256 all the same.

    Raises:
        ValueError: if there is no such model, or its weights are not the published ones.
    """
    entry = published_entry(name)
    model = hub.load(name)
    got = fingerprint(model)
    published = entry["fingerprint"] or [None] * len(got)
    rows = [
        _row(f"fingerprint {i + 1}", *pair, None if pair[1] is None else tolerance(pair[1]))
        for i, pair in enumerate(zip(got, published))
    ]
    if quick or "metrics" not in entry:  # others' figures are not measured again
        return rows
    metrics = entry["metrics"]
    got = published_metrics(
        model, metrics["protocol"], source=source, num_samples=metrics["num_samples"]
    )
    return rows + checks(got, metrics, entry["tolerances"])


def published_entry(name: str) -> dict:
    """Returns the registry entry of a published model.

    Raises:
        ValueError: if there is no such model, or it is one of your own.
    """
    if name not in hub.list_models():
        registry.check_source(name)
        raise ValueError(
            f"{name!r} is not one of the published models, whose figures can be verified. "
            f"keras-vae evaluate {name} measures it."
        )
    return hub.info(name)


def checks(got: dict, published: dict, tolerances: dict) -> list[dict]:
    """Compares figures with published ones, for each quantity that has a tolerance.

    Returns:
        A list of dicts of `quantity`, `got`, `published`, `tolerance`, `pass`.
    """
    return [_row(key, got[key], published[key], tolerances[key]) for key in tolerances]


def _row(quantity, got, published, tolerance):
    return {
        "quantity": quantity,
        "got": got,
        "published": published,
        "tolerance": tolerance,
        "pass": None if published is None else bool(abs(got - published) <= tolerance),
    }


def _quantity(figure):
    """`nll` for `nll_mc_stderr`."""
    return figure.removesuffix("_stderr").removesuffix("_mc")
