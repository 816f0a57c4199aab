"""Callbacks for `fit`: schedules, guards against what can go wrong, pictures during training."""

from keras_vae.callbacks.collapse import CollapseWatch as CollapseWatch
from keras_vae.callbacks.guard import NonFiniteGuard as NonFiniteGuard
from keras_vae.callbacks.samples import SampleGrid as SampleGrid
from keras_vae.callbacks.schedules import Ramp as Ramp
from keras_vae.callbacks.skip import SkipSteps as SkipSteps
