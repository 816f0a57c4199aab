"""Feeds a run: in each epoch the examples come in an order fixed by the seed and the epoch."""

import contextlib

import numpy as np

from keras_vae import backends
from keras_vae.checks import check_data
from keras_vae.data.sources import Source, is_source, sample_positions

_SAMPLE = 1000  # examples of a source that are checked before training


def epochs_of_batches(x, batch_size, seed, epochs, variants=1, skip=0):
    """Returns a pipeline or generator of the batches `(x,)` of some epochs, one after the other.

    Args:
        x: all examples, an array or a `CheckedSource`. Their order is the same.
        batch_size: examples per batch; the last batch of an epoch may be smaller.
        seed: seed of the order.
        epochs: a `range` of epochs, counted from 0.
        variants: how many variants of each example `x` holds, as `keras_vae.data.variants` makes
            them. An epoch takes one of each. Defaults to 1.
        skip: how many batches of the first epoch to leave out: nothing is read of them. Defaults to
            0.
    """
    n = len(x) // variants

    def order(epoch):
        rng = np.random.default_rng([seed, epoch])
        examples = rng.permutation(n)
        examples = examples + n * rng.integers(0, variants, n) if variants > 1 else examples
        return examples[skip * batch_size :] if epoch == epochs.start else examples

    if isinstance(x, CheckedSource):
        return backends.read_batches(x, batch_size, order, epochs)
    return backends.ordered_batches(x, batch_size, order, epochs)


def validation_data(x, batch_size):
    """Returns what `fit` and `evaluate` take of validation examples."""
    return backends.batches_in_order(x, batch_size) if isinstance(x, CheckedSource) else x


class CheckedSource:
    """Examples of a source, each batch of which is checked as it is read.

    Args:
        source: a `keras_vae.data.Source`.
        model: the model, which says what its data are.
        name: of the data, for messages.

    Attributes:
        error: that of the first batch that could not be read, or is not valid; None if there is
            none. A backend may raise one of its own instead.
    """

    def __init__(self, source, model, name):
        self.source, self.model, self.name, self.error = source, model, name, None
        self.shape, self.dtype = source.shape, source.dtype

    def __len__(self):
        return len(self.source)

    def __getitem__(self, rows):
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        try:
            batch = self.source[rows]
            self._check(rows, batch)
            return batch
        except Exception as error:
            self.error = self.error or error
            raise

    def _check(self, rows, batch):
        of_model = self.model.data_shape, self.model.likelihood
        try:
            check_data(batch, *of_model, is_first=False)
        except ValueError:
            for row, example in zip(rows, batch):
                try:
                    check_data(example[None], *of_model, is_first=False)
                except ValueError as error:
                    raise ValueError(f"Example {row} of {self.name}: {error}") from error
            raise


def check_examples(x, model, name):
    """Returns data as a run takes it, an array or a `CheckedSource`.

    Args:
        x: an array; or a source, as `keras_vae.data.Source` takes it, of which 1,000 examples are
            checked here.
        model: the model.
        name: of the data, for messages.

    Raises:
        ValueError: if the data is not what the model takes.
    """
    if not is_source(x):
        return check_data(x, model.data_shape, model.likelihood, name)
    checked = CheckedSource(x if isinstance(x, Source) else Source(x), model, name)
    some = checked[sample_positions(len(checked), _SAMPLE)]
    check_data(some, model.data_shape, model.likelihood, name)
    return checked


@contextlib.contextmanager
def own_errors(*examples):
    """Raises the error of a source itself instead of what a backend makes of it."""
    try:
        yield
    except Exception as error:
        for x in examples:
            if isinstance(x, CheckedSource) and x.error is not None:
                raise x.error from error
        raise
