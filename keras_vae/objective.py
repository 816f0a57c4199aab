"""What a VAE is trained on: the loss of a batch from its terms, in nats per example."""

from keras import ops


def loss(terms, beta, free_bits=0.0, capacity=None):
    """The mean over a batch of distortion + beta * rate + penalty, or of the negative bound.

    Args:
        terms: what `VAE.elbo_terms` returns.
        beta: weight of the rate.
        free_bits: nats L of each latent: the rate counts as sum_j max(L, KL_j), KL_j the mean
            over the batch (Kingma et al. 2016, arXiv 1606.04934, eq. 15).
        capacity: nats C: the rate counts as |rate - C| (Burgess et al. 2018, arXiv 1804.03599,
            eq. 8), its mean over the batch; None for the rate itself.
    """
    if "bound" in terms:
        return ops.mean(terms["penalty"] - terms["bound"])
    rate = terms["rate"]
    if free_bits:
        rate = ops.sum(ops.maximum(free_bits, ops.mean(terms["rates"], axis=0)))
    if capacity is not None:
        rate = ops.abs(ops.mean(rate) - capacity)
    return ops.mean(terms["distortion"] + beta * rate + terms["penalty"])


def importance_weighted(log_prob, log_ratio):
    """log 1/K sum_k p(x|z_k) p(z_k) / q(z_k|x), from `(K, n)` each (Burda et al. 2015, eq. 8)."""
    log_w = log_prob + log_ratio
    # K is counted: the shape is not known in the graph of a pipeline of unknown batch size.
    return ops.logsumexp(log_w, axis=0) - ops.log(ops.sum(ops.ones_like(log_w), axis=0))


def weighted(terms, sample_weight):
    """The terms with all that is per example times its weight `(n,)`; None is a weight of 1."""
    if sample_weight is None:
        return terms
    weight = ops.reshape(ops.cast(sample_weight, "float32"), (-1,))

    def times(name, term):
        if name == "rates":
            return term * ops.reshape(weight, (-1, *[1] * (len(term.shape) - 1)))
        # What else is per example is a vector; a VQ latent's codes are not.
        return weight * term if len(term.shape) == 1 else term

    return {name: times(name, term) for name, term in terms.items()}


def settings(model) -> dict:
    """A model's arguments of the objective as plain values: those of today, as beta may change."""
    return {
        "beta": float(model.beta),
        "num_samples": model.num_samples,
        "free_bits": model.free_bits,
        "capacity": None if model.capacity is None else float(model.capacity),
        "importance_weighted": model.importance_weighted,
    }


def check(model, capacity):
    """Raises ValueError unless a model's latent and arguments allow for its objective."""
    if not isinstance(model.importance_weighted, bool) and model.importance_weighted != "dreg":
        raise ValueError(
            'importance_weighted must be True, False or "dreg". '
            f"Received: {model.importance_weighted!r}"
        )
    if model.free_bits and not model.latent.closed_form:
        raise ValueError(
            "free_bits are counted for each latent: they need a GaussianLatent under the standard "
            f"normal prior. Received free_bits={model.free_bits} and {model.latent!r}"
        )
    if not model.importance_weighted:
        return
    if not model.latent.stochastic or model.num_samples < 2:
        raise ValueError(
            "An importance-weighted loss needs a latent that is sampled, and num_samples of at "
            f"least 2. Received: {model.latent!r}, num_samples={model.num_samples}"
        )
    if model.free_bits or capacity is not None:
        raise ValueError(
            "An importance-weighted loss has no rate of its own for free_bits or capacity to "
            f"change. Received: free_bits={model.free_bits}, capacity={capacity}"
        )
