"""The methods of a trained VAE: codes, images and likelihoods, as NumPy arrays.

Random numbers come from NumPy, one stream per example, so a seed gives the same numbers on every
backend and with every batch size.
"""

import math
import warnings
from functools import partial

import keras
import numpy as np
from keras import ops

from keras_vae import batches
from keras_vae.backends import compile_method, place
from keras_vae.checks import as_array, check_data, check_number, check_sizes, check_whole
from keras_vae.noise import check_noise_seed, noise_streams, normal_noise
from keras_vae.tempering import Tempered
from keras_vae.tiling import Tiling


class Inference(Tiling):
    """The methods of a trained `VAE`; they use its encoder, latent, decoder and likelihood."""

    def encode(self, x, batch_size=None, *, tile_size=None):
        """Encodes data deterministically.

        Args:
            x: data `(n, *data_shape)`: uint8, or float in the likelihood's range. Grey values are
                encoded without binarisation. An array in a file (HDF5, np.memmap) is read a batch
                at a time, and so is a pipeline of batches (tf.data, PyDataset, torch DataLoader,
                generator) that comes to an end; its labels are ignored.
            batch_size: examples per pass at most. Defaults to None, 256 or fewer if they are large.
            tile_size: side of the overlapping tiles, in pixels, that the encoder takes one by one
                to save memory; their codes are blended. For models of any size whose codes are
                maps. Defaults to None, the whole image.

        Returns:
            The posterior mean, float32 `(n, *code_shape)`; for a VQ model integer codes
            `(n, *positions)`.

        Raises:
            ValueError: if `x` is not valid data for the model, or has no end.
        """
        encode = partial(self._encode_batch, tile=self._check_tile(tile_size))
        return self._in_batches(encode, x, batch_size)

    def sample_posterior(self, x, seed=None, *, batch_size=None):
        """Samples z = mean + eps * stddev from q(z|x), one sample per example.

        Args:
            x: data, as in `encode`.
            seed: whole number; the same seed gives the same noise. Defaults to None, new noise at
                each call.
            batch_size: as in `encode`.

        Returns:
            Codes `(n, *code_shape)`. The posterior of a VQ model is a single point, so its
            sample is the code that `encode` returns.
        """
        return self._in_batches(partial(self._sample_batch, check_noise_seed(seed)), x, batch_size)

    def latent_rates(self, x, batch_size=None):
        """Computes the rate of each latent unit, for models whose rate is a sum over units.

        For a `GaussianLatent` under N(0, I) it is KL(q(z_j|x) || N(0, 1)) for each latent j.

        Args:
            x: data, as in `encode`.
            batch_size: as in `encode`.

        Returns:
            float32 `(n, *units)`, nats. A latent whose rate is near zero on all data has collapsed.
            In a hierarchy one sample of the upper layers is drawn, as for `layer_rates`.

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
        return self._in_batches(partial(self._rate_batch, self._unit_rates), x, batch_size)

    def decode(self, z, batch_size=None, *, tile_size=None):
        """Decodes codes to the mean of p(x|z).

        Args:
            z: codes `(n, *code_shape)`, as returned by `encode`; for a VQ model integers
                `(n, *positions)` or vectors `(n, *positions, code_dim)`.
            batch_size: as in `encode`.
            tile_size: as in `encode`, in pixels of the image.

        Returns:
            float32 `(n, *data_shape)`.

        Raises:
            ValueError: if `z` has the wrong shape, is not finite or holds a code out of range.
        """
        self.check_built()
        z = self.latent.check_code(as_array(z, "z"))
        shape = self.example_shape()
        enlarged = math.prod(shape) / math.prod(self.code_spec(shape).shape)
        rows = batches.rows_per_pass(enlarged * math.prod(z.shape[1:]), batch_size)
        tile = self._check_tile(tile_size)
        return batches.joined(
            [self._decode_batch(z[start : start + rows], tile) for start in range(0, len(z), rows)]
        )

    def reconstruct(self, x, batch_size=None, *, layers=None, tile_size=None):
        """Returns `decode(encode(x))`, float32 `(n, *data_shape)`. Deterministic.

        Args:
            x: data, as in `encode`.
            batch_size: as in `encode`.
            layers: in a hierarchy, how many layers, from the top, hold what is known of x. Those
                below are at their conditional prior's mean. Defaults to None, all.
            tile_size: as in `encode`.

        Raises:
            ValueError: as `encode` does, or if there are not so many layers.
        """
        tile = self._check_tile(tile_size)
        kept = None if layers is None else self._count_latents(layers)

        def reconstruct(batch, start):
            code = self._encode_batch(batch, tile=tile)
            if kept is not None:
                code = ops.convert_to_numpy(code).copy()
                code[:, kept:] = 0.0
            return self._decode_batch(code, tile)

        return self._in_batches(reconstruct, x, batch_size)

    def generate(self, n, seed=None, *, temperature=1.0, size=None, batch_size=None):
        """Draws `n` codes from the prior and decodes them.

        Args:
            n: number of images.
            seed: whole number; the same seed gives the same images on every backend. Defaults to
                None, new images at each call.
            temperature: factor on the standard deviation of the prior's normal noise: of all layers
                in a hierarchy, of the noise that a flow transforms, of a mixture's components.
                Below 1 samples are more typical and less varied. Defaults to 1, the prior itself.
            size: of the data without its channels, such as the height and width of images, for a
                model that takes data of any size. Defaults to None, the model's own size.
            batch_size: images per pass at most. Defaults to None, as in `encode`.

        Returns:
            float32 `(n, *data_shape)`: the means of p(x|z).

        Raises:
            ValueError: if the model has no prior to draw from (such as a VQ-VAE without a code
                prior), if `size` is missing, if the model cannot make images of that size, or if
                the prior draws no normal noise for a temperature.
        """
        codes = self.sample_prior(n, seed, temperature=temperature, size=size)
        return self.decode(codes, batch_size)

    def sample_prior(self, n, seed=None, *, temperature=1.0, size=None):
        """Draws `n` codes from the prior, those that `generate` decodes.

        Args:
            n: number of codes.
            seed: as in `generate`.
            temperature: as there.
            size: as there.

        Returns:
            Codes `(n, *code_shape)`, as `decode` takes them.

        Raises:
            ValueError: as `generate` does.
        """
        self.check_built()
        n = check_whole("n", n, 1)
        if not self.latent.generates:
            raise ValueError(self.latent.no_prior)
        shape = self.data_shape if size is None else self._shape_of_size(size)
        if None in shape:
            raise ValueError(
                "This model takes data of any size: choose one, such as "
                f"generate(16, size={(64,) * (len(shape) - 1)})."
            )
        rng = Tempered(check_noise_seed(seed), check_number("temperature", temperature, 0))
        codes = self.latent.sample_prior(n, rng, self.code_spec(shape).shape)
        if temperature != 1 and not rng.used:
            raise ValueError(
                "temperature is for priors that draw normal noise, as Gaussian ones, mixtures and "
                f"flows do, and this model's does not. Received: temperature={temperature}"
            )
        return codes

    def _check_x(self, x, name="x", is_first=True):
        batches.check_kind(x, name)
        self._build_for(x)
        x = check_data(x, self.data_shape, self.likelihood, name, is_first)
        self._check_shape(x.shape[1:])
        takes_any = is_first and self.likelihood.observes == "reals"
        if takes_any and batches.looks_like_bytes(x) and not self.__dict__.get("_warned_of_bytes"):
            self.__dict__["_warned_of_bytes"] = True
            warnings.warn(batches.BYTES, stacklevel=4)
        return x

    def _check_shape(self, shape):
        """Raises ValueError if the networks do not take data of this shape."""
        if None not in self.data_shape and tuple(shape) != self.data_shape:
            raise ValueError(
                f"This model makes data of shape {self.data_shape} only. Received: {tuple(shape)}"
            )
        self.code_spec(shape)

    def check_built(self):
        """Raises ValueError if the model is not built: its shapes and weights are not known yet."""
        if not self.built:
            raise ValueError(
                "The model is not built, because its encoder was given no input shape: call it on "
                "data once, such as model.encode(x)."
            )

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

    def _tensor(self, batch):
        """Converts a batch of data to the networks' input."""
        return place(self.likelihood.read(batch))

    def _observe(self, batch, streams):
        def uniform(shape):
            return np.stack([rng.random(shape[1:], dtype="float32") for rng in streams])

        return place(self.likelihood.observe(self.likelihood.read(batch), uniform))

    @staticmethod
    def _noise(streams, num_samples, spec):
        """Returns the noise of `num_samples` samples; None if the posterior is a single point."""
        if spec.noise_shape is None:
            return None
        return ops.convert_to_tensor(normal_noise(streams, num_samples, spec.noise_shape))

    def _in_batches(self, function, x, batch_size=None, progress=None):
        """Applies a function of `(batch, start)` to data; returns the results as one array."""
        results = []
        for start, batch in self._batches(x, batch_size):
            results.append(ops.convert_to_numpy(function(batch, start)))
            if progress is not None:
                progress(start + len(batch))
        return batches.joined(results)

    def _batches(self, x, batch_size=None):
        """Yields `(start, batch)`: checked batches of data, and how many examples came before."""
        start = 0
        for name, part in batches.parts(x, batch_size):
            part = self._check_x(part, name, is_first=start == 0)
            rows = batches.rows_per_pass(math.prod(part.shape[1:]), batch_size)
            for i in range(0, len(part), rows):
                batch = part[i : i + rows]
                yield start, batch
                start += len(batch)

    def _encode_batch(self, batch, start=0, tile=None):
        if tile is not None:
            return self._encode_tiles(batch, tile)
        return self._compiled(self._code)(self._tensor(batch))

    def _sample_batch(self, seed, batch, start=0):
        spec = self.code_spec(batch.shape[1:])
        if spec.noise_shape is None:
            return self._encode_batch(batch)
        noise = self._noise(noise_streams(seed, start, len(batch)), 1, spec)
        return self._compiled(self._sampled_code)(self._tensor(batch), noise)

    def _rate_batch(self, rates, batch, start=0):
        spec = self.code_spec(batch.shape[1:])
        noise = self._noise(noise_streams(0, start, len(batch)), 1, spec)
        return self._compiled(rates)(self._tensor(batch), noise)

    def _decode_batch(self, code, tile=None):
        code = place(code)
        if tile is not None:
            return self._decode_tiles(code, tile)
        return ops.convert_to_numpy(self._compiled(self._decoded)(code))
