"""Shapes of codes and examples, for models that take data of one size or of any."""

import keras


class Sizes:
    """What `VAE` knows of the sizes that its networks take."""

    def code_spec(self, data_shape):
        """Returns the `CodeSpec` of examples of a shape.

        Raises:
            ValueError: if the model takes any size but reconstructs this one at another.
        """
        if None not in self.data_shape:
            return self.latent.code_spec
        shape, known = tuple(data_shape), self.__dict__.setdefault("_known_specs", {})
        if shape not in known:
            h = self.encoder(keras.Input(shape))
            made = self.decoder(self.latent(h)[0]).shape[1:]
            if made != self.likelihood.output_shape(shape):
                size, back = (" x ".join(map(str, of[:-1])) for of in (shape, made))
                raise ValueError(
                    f"Data of size {size} would come back as {back}: the strides of the networks "
                    f"must divide its sizes. Crop or resize it, to {back} for example."
                )
            known[shape] = self.latent.spec(shapes_of(h))
        return known[shape]

    def example_shape(self):
        """Returns a shape of data that the model takes: its own, axes of any size at about 64."""
        shape = tuple(size or 64 for size in self.data_shape)
        if None in self.data_shape:  # strides that do not divide 64 give another size, and take it
            made = self.decoder(self.latent(self.encoder(keras.Input(shape)))[0]).shape[1:-1]
            shape = (*(size or 64 for size in made), shape[-1])
        return shape


def shapes_of(tensors):
    """The shapes of what a network returns, in the same structure."""
    return keras.tree.map_structure(lambda tensor: tuple(tensor.shape), tensors)
