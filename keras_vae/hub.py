"""Models by name: build."""

from keras_vae.factories import FACTORIES


def build(factory, arguments):
    return FACTORIES[factory](**arguments)
