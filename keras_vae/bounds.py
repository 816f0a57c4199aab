"""Likelihoods of data under a trained VAE: the ELBO and the importance-weighted bound.

As in `inference`, the random numbers are NumPy's, one stream per example.
"""

import math
from functools import partial

import numpy as np
from keras import ops

from keras_vae.checks import check_whole
from keras_vae.noise import check_noise_seed, noise_streams

TERMS = ("distortion", "rate", "elbo_variance", "log_likelihood", "log_likelihood_variance")
_ROWS = 4096  # that the decoder takes at most in a pass of log_likelihood
_VALUES = _ROWS * 28 * 28  # outputs, as well


class Bounds:
    """The methods of a `VAE` that bound log p(x). Uses those of `Inference`."""

    def elbo(self, x, *, num_samples=None, seed=None, batch_size=None):
        """Computes ELBO(x) = -distortion - rate, in nats per example.

        The ELBO has beta = 1, whatever beta the model was trained with. Under a Bernoulli
        likelihood grey values are first binarised by sampling, as in training.

        Args:
            x: data, as in `encode`.
            num_samples: Monte Carlo samples of z per example. Defaults to the model's number.
            seed: whole number; the same seed gives the same noise on every backend. Defaults to
                None, new noise at each call.
            batch_size: as in `encode`.

        Returns:
            float32 `(n,)`.

        Raises:
            ValueError: if `x` is not data that the model takes, an argument is out of range, or the
                model has no likelihood, as a plain autoencoder.
        """
        arguments = {"num_samples": num_samples, "seed": seed, "batch_size": batch_size}
        distortion, rate = self.distortion_and_rate(x, **arguments)
        return -distortion - rate

    def distortion_and_rate(self, x, *, num_samples=None, seed=None, batch_size=None):
        """Computes the two terms of the ELBO.

        The distortion is -E_q[log p(x|z)]; the rate is KL(q(z|x) || p(z)) or a code length.

        Args:
            x: as in `elbo`.
            num_samples: as in `elbo`.
            seed: as in `elbo`.
            batch_size: as in `elbo`.

        Returns:
            Distortion and rate, each float32 `(n,)`, in nats per example.

        Raises:
            ValueError: if `x` is not data that the model takes, an argument is out of range, or the
                model has no likelihood, as a plain autoencoder.
        """
        self._check_bound()
        m = self.num_samples if num_samples is None else check_whole("num_samples", num_samples, 1)
        seed = check_noise_seed(seed)

        def parts(batch, start):
            streams = noise_streams(seed, start, len(batch))
            observed = self._observe(batch, streams)
            noise = self._noise(streams, m, self.code_spec(batch.shape[1:]))
            return self._compiled(self._elbo_parts)(observed, noise)

        return tuple(self._in_batches(parts, x, batch_size).T)

    def log_likelihood(self, x, num_samples=100, *, seed=None, batch_size=None):
        """Importance-weighted bound on log p(x) (Burda et al. 2015, arXiv 1509.00519, eq. 8).

        log 1/K sum_k p(x|z_k) p(z_k) / q(z_k|x). In expectation it is at least the ELBO, and it
        rises towards log p(x) as K grows. Memory use does not depend on K.

        Args:
            x: data, as in `elbo`.
            num_samples: importance samples K per example. Defaults to 100; published tables
                often use 5000.
            seed: whole number; the same seed gives the same noise on every backend. Defaults to
                None, new noise at each call.
            batch_size: as in `encode`.

        Returns:
            float32 `(n,)`, nats per example.

        Raises:
            ValueError: if `x` is not data that the model takes, an argument is out of range, or the
                model has no likelihood, as a plain autoencoder.
        """
        terms = self.importance_terms(x, num_samples, seed=seed, batch_size=batch_size)
        return terms["log_likelihood"].astype("float32")

    def importance_terms(self, x, num_samples=100, *, seed=None, batch_size=None, progress=None):
        """Estimates the terms of the ELBO and log p(x) of each example, from K samples of q(z|x).

        The weights are log w_k = log p(x|z_k) + log p(z_k) - log q(z_k|x). Moments are accumulated
        sample by sample, so memory use does not depend on K.

        Args:
            x: data, as in `elbo`.
            num_samples: samples K per example; always 1 if the posterior is a single point.
            seed: whole number; the same seed gives the same noise on every backend. Defaults to
                None, new noise at each call.
            batch_size: as in `encode`.
            progress: a function that is called after every pass with the number of examples done.
                Defaults to None.

        Returns:
            A dict of float64 arrays, `(n,)`, in nats:
            `distortion`: mean of -log p(x|z_k);
            `rate`: the KL divergence in closed form if there is one, else the mean of
            log q(z_k|x) - log p(z_k);
            `elbo_variance`: the Monte Carlo variance of -distortion - rate (0 if K = 1);
            `log_likelihood`: log 1/K sum_k w_k;
            `log_likelihood_variance`: its Monte Carlo variance to first order in 1/K,
            (K sum w_k^2 / (sum w_k)^2 - 1) / K.

        Raises:
            ValueError: if `x` is not data that the model takes, an argument is out of range, or the
                model has no likelihood, as a plain autoencoder.
        """
        self._check_bound()
        num_samples = check_whole("num_samples", num_samples, 1)
        terms = partial(self._importance_batch, num_samples, check_noise_seed(seed))
        return dict(zip(TERMS, self._in_batches(terms, x, batch_size, progress).T))

    def _importance_batch(self, num_samples, seed, batch, start=0):
        """The `TERMS` of a batch, `(n, 5)`."""
        n, spec = len(batch), self.code_spec(batch.shape[1:])
        total = 1 if spec.noise_shape is None else num_samples
        values = math.prod(self.likelihood.output_shape(batch.shape[1:]))
        chunk = max(1, min(_ROWS // n, _VALUES // (n * values)))
        streams = noise_streams(seed, start, n)
        observed = self._observe(batch, streams)
        h, sampled = self._compiled(self._encoded)(observed), self._compiled(self._sampled_terms)
        log_sum = log_sum_squares = np.full(n, -np.inf)
        distortion, rate, elbo, squares = np.zeros((4, n))
        noise = self._noise(streams, min(chunk, total), spec)
        for done in range(0, total, chunk):
            parts = sampled(observed, h, noise)
            left = min(chunk, total - done - chunk)
            if left > 0:  # drawn while an accelerator computes the parts
                noise = self._noise(streams, left, spec)
            parts = ops.convert_to_numpy(parts)
            log_p, log_ratio, rates = parts.astype("float64")  # (k, n)
            log_w = np.logaddexp.reduce(log_p + log_ratio, axis=0)
            log_sum = np.logaddexp(log_sum, log_w)
            log_w = np.logaddexp.reduce(2 * (log_p + log_ratio), axis=0)
            log_sum_squares = np.logaddexp(log_sum_squares, log_w)
            if not done:  # squares are centred on the first mean, to avoid cancellation
                centre = np.mean(log_p - rates, axis=0)
            distortion, rate = distortion - log_p.sum(axis=0), rate + rates.sum(axis=0)
            elbo = elbo + (log_p - rates - centre).sum(axis=0)
            squares = squares + np.square(log_p - rates - centre).sum(axis=0)
        variance = (squares - elbo**2 / total) / max(total - 1, 1) / total
        excess = np.exp(log_sum_squares - 2 * log_sum) - 1 / total
        log_likelihood = log_sum - np.log(total)
        means = (distortion / total, rate / total, variance, log_likelihood, excess)
        return np.stack(means, axis=1)

    def _check_bound(self):
        if self.latent.no_bound:
            raise ValueError(self.latent.no_bound)

    def _elbo_parts(self, x, noise):
        terms = self.terms(x, noise=noise)
        return ops.stack([terms.distortion, terms.rate], axis=1)

    def _sampled_terms(self, x, h, noise):
        """Returns log p(x|z), log p(z) - log q(z|x) and the rate of the samples, `(3, k, n)`."""
        draw = self.latent.draw(h, noise)
        log_prob = self.log_prob(x, self.decoder(draw.decoder_input))
        return ops.stack([log_prob, draw.log_ratio, draw.rate])
