"""What a trained VAE is asked for: codes, images and likelihoods, as NumPy arrays.

The random numbers here are NumPy's, one stream per example: a seed gives the same numbers on every
backend and for every batch size.
"""

import numpy as np
from keras import ops

from keras_vae.backends import compiled
from keras_vae.checks import as_array, check_data, check_whole, scaled
from keras_vae.noise import checked_seed, noise_streams, normal_noise

_ROWS = 4096  # decoder rows per pass of log_likelihood


class Inference:
    """The methods of a trained `VAE`. Uses its encoder, latent, decoder and likelihood."""

    def encode(self, x, batch_size=256):
        """Encodes data to its deterministic representation.

        Args:
            x: data `(n, *data_shape)`: uint8, or float in the likelihood's range. Grey values are
                encoded as they are.
            batch_size: examples per pass. Defaults to 256.

        Returns:
            The posterior mean, float32 `(n, *latent_shape)`; for a VQ model integer codes,
            `(n, *positions)`.

        Raises:
            ValueError: if `x` is not data that the model takes.
        """
        x = self._checked(x)
        code = self._compiled(self._code)
        return self._in_batches(lambda batch: code(_tensor(batch)), x, batch_size)

    def sample_posterior(self, x, seed=None, *, batch_size=256):
        """Samples z = mean + eps * stddev from q(z|x), one for each example.

        Args:
            x: data, as in `encode`.
            seed: whole number that fixes the noise. Defaults to None, new noise at each call.
            batch_size: examples per pass. Defaults to 256.

        Returns:
            float32 `(n, *latent_shape)`. A VQ model's posterior is one point: its codes.
        """
        if not self.latent.stochastic:
            return self.encode(x, batch_size)
        x, seed = self._checked(x), checked_seed(seed)
        encoder = self._compiled(self._encoded)

        def sample(batch, start):
            streams = noise_streams(seed, start, len(batch))
            noise = normal_noise(streams, 1, self.latent.latent_shape)
            return self.latent.infer(encoder(_tensor(batch)), noise=noise)["z"]

        return self._in_batches(sample, x, batch_size, with_start=True)

    def latent_rates(self, x, batch_size=256):
        """KL(q(z_j|x) || N(0, 1)) of each latent j, which the rate under N(0, I) is the sum of.

        Args:
            x: data, as in `encode`, of a model with a `GaussianLatent`.
            batch_size: examples per pass. Defaults to 256.

        Returns:
            float32 `(n, *latent_shape)`, nats. Near zero on all data: the latent has collapsed.

        Raises:
            ValueError: if the model's latent is a codebook, or `x` is not data that it takes.
        """
        if not self.latent.stochastic:
            raise ValueError("A VQ model has codes, no latents with a rate each. See encode(x).")
        x, encoder = self._checked(x), self._compiled(self._encoded)
        rates = self.latent.rates
        return self._in_batches(lambda batch: rates(encoder(_tensor(batch))), x, batch_size)

    def decode(self, z, batch_size=256):
        """Decodes latents to the mean of p(x|z).

        Args:
            z: latents `(n, *latent_shape)`; for a VQ model integer codes `(n, *positions)` or
                code vectors `(n, *positions, code_dim)`.
            batch_size: examples per pass. Defaults to 256.

        Returns:
            float32 `(n, *data_shape)`.

        Raises:
            ValueError: if `z` has another shape, is not finite, or holds a code out of range.
        """
        z = self.latent.check_code(as_array(z, "z"))
        decoded = self._compiled(self._decoded)
        return self._in_batches(lambda batch: decoded(ops.convert_to_tensor(batch)), z, batch_size)

    def reconstruct(self, x, batch_size=256):
        """Returns `decode(encode(x))`, float32 `(n, *data_shape)`. Deterministic."""
        return self.decode(self.encode(x, batch_size), batch_size)

    def generate(self, n, seed=None, *, batch_size=256):
        """Draws `n` latents from the prior and decodes them.

        Args:
            n: number of images.
            seed: whole number that fixes the images, on every backend. Defaults to None.
            batch_size: images per pass. Defaults to 256.

        Returns:
            float32 `(n, *data_shape)`: the means of p(x|z).

        Raises:
            ValueError: if the model has no prior to draw from, as a VQ-VAE without a code prior.
        """
        n = check_whole("n", n, 1)
        rng = np.random.default_rng(checked_seed(seed))
        return self.decode(self.latent.sample_prior(n, rng), batch_size)

    def elbo(self, x, *, num_samples=None, seed=None, batch_size=256):
        """ELBO(x) = -distortion - rate, in nats per example: beta = 1 whatever the training's.

        Under a Bernoulli likelihood grey values are binarised by sampling first, as in training.

        Args:
            x: data, as in `encode`.
            num_samples: Monte-Carlo samples of z per example. Defaults to the model's.
            seed: whole number that fixes the noise, on every backend. Defaults to None.
            batch_size: examples per pass. Defaults to 256.

        Returns:
            float32 `(n,)`.
        """
        arguments = {"num_samples": num_samples, "seed": seed, "batch_size": batch_size}
        distortion, rate = self.distortion_and_rate(x, **arguments)
        return -distortion - rate

    def distortion_and_rate(self, x, *, num_samples=None, seed=None, batch_size=256):
        """The two parts of the ELBO: -E_q[log p(x|z)], and KL(q(z|x) || p(z)) or the code length.

        Args:
            x: as in `elbo`, like all that follow.
            num_samples: as there.
            seed: as there.
            batch_size: as there.

        Returns:
            Two arrays, float32 `(n,)`, in nats per example.
        """
        m = self.num_samples if num_samples is None else check_whole("num_samples", num_samples, 1)
        x, seed = self._checked(x), checked_seed(seed)
        elbo_parts = self._compiled(self._elbo_parts)

        def parts(batch, start):
            streams = noise_streams(seed, start, len(batch))
            observed = self._observed(batch, streams)
            noise = (
                normal_noise(streams, m, self.latent.latent_shape)
                if self.latent.stochastic
                else None
            )
            return elbo_parts(observed, None if noise is None else ops.convert_to_tensor(noise))

        return tuple(self._in_batches(parts, x, batch_size, with_start=True).T)

    def log_likelihood(self, x, num_samples=100, *, seed=None, batch_size=64):
        """Importance-weighted bound on log p(x) (Burda et al. 2015, arXiv 1509.00519, eq. 8).

        log 1/K sum_k p(x|z_k) p(z_k) / q(z_k|x): at least the ELBO, rising to log p(x) with K.
        The memory used does not grow with K.

        Args:
            x: data, as in `elbo`.
            num_samples: importance samples K per example. Defaults to 100; tables use 5000.
            seed: whole number that fixes the noise, on every backend. Defaults to None.
            batch_size: examples per pass. Defaults to 64.

        Returns:
            float32 `(n,)`, nats per example.
        """
        terms = self.importance_terms(x, num_samples, seed=seed, batch_size=batch_size)
        return terms["log_likelihood"].astype("float32")

    def importance_terms(self, x, num_samples=100, *, seed=None, batch_size=64, progress=None):
        """What K samples of q(z|x) say of each example: the ELBO's parts and log p(x).

        With log w_k = log p(x|z_k) + log p(z_k) - log q(z_k|x), and the moments summed as the
        samples come, so that the memory used does not grow with K.

        Args:
            x: data, as in `elbo`.
            num_samples: samples K per example; a VQ model's posterior is one point, K = 1.
            seed: whole number that fixes the noise, on every backend. Defaults to None.
            batch_size: examples per pass. Defaults to 64.
            progress: a function that is called with the number of examples done, after every
                pass. Defaults to None.

        Returns:
            A dict of float64 arrays, `(n,)`, in nats:
            `distortion`: mean of -log p(x|z_k); `rate`: the KL divergence where it has a closed
            form, else the mean of log q(z_k|x) - log p(z_k);
            `elbo_variance`: the Monte-Carlo variance of -distortion - rate (0 where K = 1);
            `log_likelihood`: log 1/K sum_k w_k; `log_likelihood_variance`: its Monte-Carlo
            variance to first order in 1/K, (K sum w_k^2 / (sum w_k)^2 - 1) / K.
        """
        total = check_whole("num_samples", num_samples, 1) if self.latent.stochastic else 1
        x, seed = self._checked(x), checked_seed(seed)
        encoder, proposed = self._compiled(self._encoded), self._compiled(self._proposed)

        def terms(batch, start):
            n = len(batch)
            streams = noise_streams(seed, start, n)
            observed = self._observed(batch, streams)
            h = encoder(observed)
            chunk = max(1, _ROWS // n)
            log_sum = log_sum_squares = np.full(n, -np.inf)
            distortion, rate, elbo, squares = np.zeros((4, n))
            for done in range(0, total, chunk):
                noise = normal_noise(streams, min(chunk, total - done), self.latent.latent_shape)
                parts = ops.convert_to_numpy(proposed(observed, h, ops.convert_to_tensor(noise)))
                log_p, log_ratio, rates = parts.astype("float64")  # (k, n)
                log_w = np.logaddexp.reduce(log_p + log_ratio, axis=0)
                log_sum = np.logaddexp(log_sum, log_w)
                log_w = np.logaddexp.reduce(2 * (log_p + log_ratio), axis=0)
                log_sum_squares = np.logaddexp(log_sum_squares, log_w)
                if not done:  # squares are summed about the first mean: nothing cancels
                    centre = np.mean(log_p - rates, axis=0)
                distortion, rate = distortion - log_p.sum(axis=0), rate + rates.sum(axis=0)
                elbo = elbo + (log_p - rates - centre).sum(axis=0)
                squares = squares + np.square(log_p - rates - centre).sum(axis=0)
            variance = (squares - elbo**2 / total) / max(total - 1, 1) / total
            excess = np.exp(log_sum_squares - 2 * log_sum) - 1 / total
            log_likelihood = log_sum - np.log(total)
            means = (distortion / total, rate / total, variance, log_likelihood, excess)
            return np.stack(means, axis=1)

        names = ("distortion", "rate", "elbo_variance", "log_likelihood", "log_likelihood_variance")
        parts = self._in_batches(terms, x, batch_size, with_start=True, progress=progress)
        return dict(zip(names, parts.T))

    def _checked(self, x, name="x"):
        self._build_for(x)
        return check_data(x, self.data_shape, self.likelihood, name)

    def _compiled(self, method):
        """A method of tensors, compiled when first asked for, and anew after a change of parts.

        That is another likelihood, or other variables, as after `quantize` or `enable_lora`.
        """
        parts = [self.likelihood, *self.variables]
        known, graphs = self.__dict__.get("_graphs", ([], {}))
        if list(map(id, parts)) != list(map(id, known)):
            graphs = {}
            # Not through Keras's own __setattr__, which tracks what it is given.
            self.__dict__["_graphs"] = parts, graphs
        if method.__name__ not in graphs:
            graphs[method.__name__] = compiled(method, self)
        return graphs[method.__name__]

    def _encoded(self, x):
        return self.encoder(x)

    def _code(self, x):
        return self.latent.code(self.encoder(x))

    def _decoded(self, z):
        return self.likelihood.mean(self.decoder(self.latent.lookup(z)))

    def _elbo_parts(self, x, noise):
        terms = self.elbo_terms(x, noise=noise)
        return ops.stack([terms["distortion"], terms["rate"]], axis=1)

    def _proposed(self, x, h, noise):
        """log p(x|z), log p(z) - log q(z|x) and the rate of posterior samples, `(3, k, n)`."""
        z, log_ratio, rates = self.latent.propose(h, noise)
        return ops.stack([self._log_prob(x, self.decoder(z)), log_ratio, rates])

    def _observed(self, batch, streams):
        def uniform(shape):
            return np.stack([rng.random(shape[1:], dtype="float32") for rng in streams])

        return ops.convert_to_tensor(self.likelihood.observe(scaled(batch), uniform))

    @staticmethod
    def _in_batches(function, x, batch_size, with_start=False, progress=None):
        batch_size = check_whole("batch_size", batch_size, 1)
        parts = []
        for start in range(0, len(x), batch_size):
            batch = x[start : start + batch_size]
            part = function(batch, start) if with_start else function(batch)
            parts.append(ops.convert_to_numpy(part))
            if progress is not None:
                progress(start + len(batch))
        return np.concatenate(parts)


def _tensor(batch):
    """A batch of data as the networks take it."""
    return ops.convert_to_tensor(scaled(batch))
