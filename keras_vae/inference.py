"""The methods of a trained VAE: codes, images and likelihoods, as NumPy arrays.

Random numbers come from NumPy, one stream per example, so a seed gives the same numbers on every
backend and with every batch size.
"""

import keras
import numpy as np
from keras import ops

from keras_vae.backends import compile_method
from keras_vae.checks import as_array, check_data, check_sizes, check_whole
from keras_vae.noise import check_noise_seed, noise_streams, normal_noise

_ROWS = 4096  # decoder inputs per pass of log_likelihood


class Inference:
    """The methods of a trained `VAE`; they use its encoder, latent, decoder and likelihood."""

    def encode(self, x, batch_size=256):
        """Encodes data deterministically.

        Args:
            x: data `(n, *data_shape)`: uint8, or float in the likelihood's range. Grey values are
                encoded without binarisation.
            batch_size: examples per pass. Defaults to 256.

        Returns:
            The posterior mean, float32 `(n, *code_shape)`; for a VQ model integer codes
            `(n, *positions)`.

        Raises:
            ValueError: if `x` is not valid data for the model.
        """
        x = self._check_x(x)
        code = self._compiled(self._code)
        return self._in_batches(lambda batch: code(self._tensor(batch)), x, batch_size)

    def sample_posterior(self, x, seed=None, *, batch_size=256):
        """Samples z = mean + eps * stddev from q(z|x), one sample per example.

        Args:
            x: data, as in `encode`.
            seed: whole number; the same seed gives the same noise. Defaults to None, new noise at
                each call.
            batch_size: examples per pass. Defaults to 256.

        Returns:
            Codes `(n, *code_shape)`. The posterior of a VQ model is a single point, so its
            sample is the code that `encode` returns.
        """
        x, spec = self._check_x(x), self.code_spec(np.shape(x)[1:])
        if spec.noise_shape is None:
            return self.encode(x, batch_size)
        seed, sampled = check_noise_seed(seed), self._compiled(self._sampled_code)

        def sample(batch, start):
            noise = self._noise(noise_streams(seed, start, len(batch)), 1, spec)
            return sampled(self._tensor(batch), noise)

        return self._in_batches(sample, x, batch_size, with_start=True)

    def latent_rates(self, x, batch_size=256):
        """Computes the rate of each latent unit, for models whose rate is a sum over units.

        For a `GaussianLatent` under N(0, I) it is KL(q(z_j|x) || N(0, 1)) for each latent j.

        Args:
            x: data, as in `encode`.
            batch_size: examples per pass. Defaults to 256.

        Returns:
            float32 `(n, *units)`, nats. A latent whose rate is near zero on all data has collapsed.
            In a hierarchy the rates of the lower layers depend on a sample of the upper ones: one
            sample is drawn, with a fixed seed.

        Raises:
            ValueError: if the rate is not a sum over units, or `x` is not valid data for the
                model.
        """
        self._check_bound()
        if not self.latent.has_unit_rates:
            raise ValueError(
                "The rate of this model is not a sum over its latents, unlike that of a Gaussian "
                "latent under the standard normal prior. evaluate(model, x) gives the total rate."
            )
        x, spec = self._check_x(x), self.code_spec(np.shape(x)[1:])
        unit_rates = self._compiled(self._unit_rates)

        def rates(batch, start):
            noise = self._noise(noise_streams(0, start, len(batch)), 1, spec)
            return unit_rates(self._tensor(batch), noise)

        return self._in_batches(rates, x, batch_size, with_start=True)

    def decode(self, z, batch_size=256):
        """Decodes codes to the mean of p(x|z).

        Args:
            z: codes `(n, *code_shape)`, as returned by `encode`; for a VQ model integers
                `(n, *positions)` or vectors `(n, *positions, code_dim)`.
            batch_size: examples per pass. Defaults to 256.

        Returns:
            float32 `(n, *data_shape)`.

        Raises:
            ValueError: if `z` has the wrong shape, is not finite or holds a code out of range.
        """
        z = self.latent.check_code(as_array(z, "z"))
        decoded = self._compiled(self._decoded)
        return self._in_batches(lambda batch: decoded(ops.convert_to_tensor(batch)), z, batch_size)

    def reconstruct(self, x, batch_size=256):
        """Returns `decode(encode(x))`, float32 `(n, *data_shape)`. Deterministic."""
        return self.decode(self.encode(x, batch_size), batch_size)

    def generate(self, n, seed=None, *, size=None, batch_size=256):
        """Draws `n` codes from the prior and decodes them.

        Args:
            n: number of images.
            seed: whole number; the same seed gives the same images on every backend. Defaults to
                None, new images at each call.
            size: height and width of the images, for a model that takes images of any size.
                Defaults to None, the model's own size.
            batch_size: images per pass. Defaults to 256.

        Returns:
            float32 `(n, *data_shape)`: the means of p(x|z).

        Raises:
            ValueError: if the model has no prior to draw from (such as a VQ-VAE without a code
                prior), if `size` is missing, or if the model cannot make images of that size.
        """
        n = check_whole("n", n, 1)
        shape = self.data_shape if size is None else self._shape_of_size(size)
        if None in shape:
            raise ValueError(
                "This model takes images of any size: choose one, such as "
                "generate(16, size=(64, 64))."
            )
        rng = np.random.default_rng(check_noise_seed(seed))
        return self.decode(
            self.latent.sample_prior(n, rng, self.code_spec(shape).shape), batch_size
        )

    def elbo(self, x, *, num_samples=None, seed=None, batch_size=256):
        """Computes ELBO(x) = -distortion - rate, in nats per example.

        The ELBO has beta = 1, whatever beta the model was trained with. Under a Bernoulli
        likelihood grey values are first binarised by sampling, as in training.

        Args:
            x: data, as in `encode`.
            num_samples: Monte Carlo samples of z per example. Defaults to the model's number.
            seed: whole number; the same seed gives the same noise on every backend. Defaults to
                None, new noise at each call.
            batch_size: examples per pass. Defaults to 256.

        Returns:
            float32 `(n,)`.
        """
        arguments = {"num_samples": num_samples, "seed": seed, "batch_size": batch_size}
        distortion, rate = self.distortion_and_rate(x, **arguments)
        return -distortion - rate

    def distortion_and_rate(self, x, *, num_samples=None, seed=None, batch_size=256):
        """Computes the two terms of the ELBO.

        The distortion is -E_q[log p(x|z)]; the rate is KL(q(z|x) || p(z)) or a code length.

        Args:
            x: as in `elbo`.
            num_samples: as in `elbo`.
            seed: as in `elbo`.
            batch_size: as in `elbo`.

        Returns:
            Distortion and rate, each float32 `(n,)`, in nats per example.
        """
        self._check_bound()
        m = self.num_samples if num_samples is None else check_whole("num_samples", num_samples, 1)
        x, seed = self._check_x(x), check_noise_seed(seed)
        spec, elbo_parts = self.code_spec(np.shape(x)[1:]), self._compiled(self._elbo_parts)

        def parts(batch, start):
            streams = noise_streams(seed, start, len(batch))
            observed = self._observe(batch, streams)
            return elbo_parts(observed, self._noise(streams, m, spec))

        return tuple(self._in_batches(parts, x, batch_size, with_start=True).T)

    def log_likelihood(self, x, num_samples=100, *, seed=None, batch_size=64):
        """Importance-weighted bound on log p(x) (Burda et al. 2015, arXiv 1509.00519, eq. 8).

        log 1/K sum_k p(x|z_k) p(z_k) / q(z_k|x). In expectation it is at least the ELBO, and it
        rises towards log p(x) as K grows. Memory use does not depend on K.

        Args:
            x: data, as in `elbo`.
            num_samples: importance samples K per example. Defaults to 100; published tables
                often use 5000.
            seed: whole number; the same seed gives the same noise on every backend. Defaults to
                None, new noise at each call.
            batch_size: examples per pass. Defaults to 64.

        Returns:
            float32 `(n,)`, nats per example.
        """
        terms = self.importance_terms(x, num_samples, seed=seed, batch_size=batch_size)
        return terms["log_likelihood"].astype("float32")

    def importance_terms(self, x, num_samples=100, *, seed=None, batch_size=64, progress=None):
        """Estimates the terms of the ELBO and log p(x) of each example, from K samples of q(z|x).

        The weights are log w_k = log p(x|z_k) + log p(z_k) - log q(z_k|x). Moments are accumulated
        sample by sample, so memory use does not depend on K.

        Args:
            x: data, as in `elbo`.
            num_samples: samples K per example; always 1 if the posterior is a single point.
            seed: whole number; the same seed gives the same noise on every backend. Defaults to
                None, new noise at each call.
            batch_size: examples per pass. Defaults to 64.
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
        """
        self._check_bound()
        x, seed = self._check_x(x), check_noise_seed(seed)
        spec = self.code_spec(np.shape(x)[1:])
        num_samples = check_whole("num_samples", num_samples, 1)
        total = 1 if spec.noise_shape is None else num_samples
        encoder, sampled = self._compiled(self._encoded), self._compiled(self._sampled_terms)

        def terms(batch, start):
            n = len(batch)
            streams = noise_streams(seed, start, n)
            observed = self._observe(batch, streams)
            h = encoder(observed)
            chunk = max(1, _ROWS // n)
            log_sum = log_sum_squares = np.full(n, -np.inf)
            distortion, rate, elbo, squares = np.zeros((4, n))
            for done in range(0, total, chunk):
                noise = self._noise(streams, min(chunk, total - done), spec)
                parts = ops.convert_to_numpy(sampled(observed, h, noise))
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

        names = ("distortion", "rate", "elbo_variance", "log_likelihood", "log_likelihood_variance")
        parts = self._in_batches(terms, x, batch_size, with_start=True, progress=progress)
        return dict(zip(names, parts.T))

    def _check_x(self, x, name="x"):
        self._build_for(x)
        x = check_data(x, self.data_shape, self.likelihood, name)
        self._check_shape(x.shape[1:])
        return x

    def _check_shape(self, shape):
        """Raises ValueError if the networks do not take data of this shape."""
        if None not in self.data_shape and tuple(shape) != self.data_shape:
            raise ValueError(
                f"This model makes data of shape {self.data_shape} only. Received: {tuple(shape)}"
            )
        self.code_spec(shape)

    def _shape_of_size(self, size):
        sizes, axes = check_sizes("size", size), len(self.data_shape) - 1
        if len(sizes) != axes:
            raise ValueError(
                f"size must hold {axes} whole numbers, one for each axis of the data except the "
                f"channels. Received: {size!r}"
            )
        shape = (*sizes, self.data_shape[-1])
        self._check_shape(shape)
        return shape

    def _check_bound(self):
        if self.latent.no_bound:
            raise ValueError(self.latent.no_bound)

    def _compiled(self, method):
        """Returns a compiled method of tensors; compiles it on first use, or if parts changed.

        Parts change with a new likelihood or new variables, as after `quantize` or `enable_lora`.
        """
        parts = [self.likelihood, *self.variables]
        known, graphs = self.__dict__.get("_graphs", ([], {}))
        if list(map(id, parts)) != list(map(id, known)):
            graphs = {}
            # Keras's own __setattr__ would track the values.
            self.__dict__["_graphs"] = parts, graphs
        if method.__name__ not in graphs:
            graphs[method.__name__] = compile_method(method, self)
        return graphs[method.__name__]

    def _encoded(self, x, training=False):
        h = self.encoder(x, training=training)
        return keras.tree.map_structure(lambda t: ops.cast(t, "float32"), h)

    def _code(self, x):
        return self.latent.code(self._encoded(x))

    def _decoded(self, code, training=False):
        outputs = self.decoder(self.latent.decoder_input(code), training=training)
        return self.likelihood.mean(ops.cast(outputs, "float32"))

    def _sampled_code(self, x, noise):
        return self.latent.draw(self._encoded(x), noise).code[0]

    def _unit_rates(self, x, noise):
        return self.latent.draw(self._encoded(x), noise).unit_rates

    def _elbo_parts(self, x, noise):
        terms = self.terms(x, noise=noise)
        return ops.stack([terms.distortion, terms.rate], axis=1)

    def _sampled_terms(self, x, h, noise):
        """Returns log p(x|z), log p(z) - log q(z|x) and the rate of the samples, `(3, k, n)`."""
        draw = self.latent.draw(h, noise)
        log_prob = self.log_prob(x, self.decoder(draw.decoder_input))
        return ops.stack([log_prob, draw.log_ratio, draw.rate])

    def _tensor(self, batch):
        """Converts a batch of data to the networks' input."""
        return ops.convert_to_tensor(self.likelihood.read(batch))

    def _observe(self, batch, streams):
        def uniform(shape):
            return np.stack([rng.random(shape[1:], dtype="float32") for rng in streams])

        return ops.convert_to_tensor(self.likelihood.observe(self.likelihood.read(batch), uniform))

    @staticmethod
    def _noise(streams, num_samples, spec):
        """Returns the noise of `num_samples` samples; None if the posterior is a single point."""
        if spec.noise_shape is None:
            return None
        return ops.convert_to_tensor(normal_noise(streams, num_samples, spec.noise_shape))

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
