"""Files of weights from anyone: read as Keras does if Keras would write them, else refused."""

import h5py
import keras
import numpy as np
import pytest
import weight_files

import keras_vae
from keras_vae import hub
from keras_vae.hub.fingerprint import fingerprint, tolerance
from keras_vae.hub.formats import keras_h5
from keras_vae.layer_places import layers_by_place

KERNEL, BIAS = weight_files.KERNEL, weight_files.BIAS
model, good, path = weight_files.model, weight_files.good, weight_files.path


def numbers(model):
    return [keras.ops.convert_to_numpy(w) for w in model.weights]


def tensor_names(file):
    names = []
    file.visit(names.append)
    return {name for name in names if isinstance(file[name], h5py.Dataset)}


def assert_refused(model, path, match):
    before = numbers(model)
    with pytest.raises(hub.WeightsError, match=match) as caught:
        keras_h5.read(model, path)
    assert str(path) in str(caught.value)
    for ours, theirs in zip(numbers(model), before):
        np.testing.assert_array_equal(ours, theirs)


PRIORS = [("mlp_vae", {"prior": name}) for name in keras_vae.priors.PRIORS]
PRIORS += [("vq_vae", {"prior": name}) for name in keras_vae.priors.CODE_PRIORS]


@pytest.mark.parametrize(("factory", "arguments"), [(f, {}) for f in keras_vae.FACTORIES] + PRIORS)
def test_a_file_is_read_as_keras_reads_it(factory, arguments, make, tmp_path):
    one, other, third = (make(factory, **arguments, seed=seed) for seed in (0, 1, 2))
    rng = np.random.default_rng(0)
    one.set_weights([rng.normal(size=w.shape) for w in one.weights])
    one.save_weights(tmp_path / "one.weights.h5")
    keras_h5.read(other, tmp_path / "one.weights.h5")
    third.load_weights(tmp_path / "one.weights.h5")
    for ours, keras_own in zip(numbers(other), numbers(third)):
        np.testing.assert_array_equal(ours, keras_own)
    for ours, theirs in zip(fingerprint(other), fingerprint(one)):
        assert abs(ours - theirs) <= tolerance(theirs)


@keras.saving.register_keras_serializable(package="keras_vae_tests")
class Nested(keras.Model):
    """Layers wherever Keras finds them: in lists, dicts, each other, and behind properties."""

    def __init__(self):
        super().__init__()
        self._hidden = keras.layers.Dense(2)
        self.couplings = [keras.layers.Dense(3), keras.layers.Dense(3), keras.layers.Conv2D(1, 1)]
        self.by_name = {"b": keras.layers.LayerNormalization(), "a": [keras.layers.Dense(4)]}
        self.stack = keras.Sequential([keras.layers.Dense(5), keras.layers.Dense(5)])
        self.again = self.couplings[0]
        self.pairs = ([keras.layers.Dense(6)], [keras.layers.Dense(6)])

    @property
    def hidden(self):
        return self._hidden

    @property
    def broken(self):
        raise RuntimeError("not now")

    def build(self, input_shape):
        for layer in [self._hidden, *self.couplings[:2], self.by_name["b"], self.stack]:
            layer.build((None, 7))
        self.couplings[2].build((None, 4, 4, 7))
        for layer in (self.by_name["a"][0], self.pairs[0][0], self.pairs[1][0]):
            layer.build((None, 7))


def test_layers_are_found_where_keras_puts_them(tmp_path):
    model = Nested()
    model.build((None, 7))
    model.save_weights(tmp_path / "nested.weights.h5")
    with h5py.File(tmp_path / "nested.weights.h5") as file:
        names = tensor_names(file)
    ours = set()
    for place, layer in layers_by_place(model).items():
        own = {}
        layer.save_own_variables(own)
        ours |= {f"{place}/vars/{key}" for key in own}
    assert ours == names and len(ours) == len(model.weights) == 20


def test_weights_are_read_whatever_the_version_of_the_format(model, good, tmp_path, make):
    new = tmp_path / "new.weights.h5"
    with h5py.File(good) as old, h5py.File(new, "w", libver="latest") as file:
        for name in tensor_names(old):
            file[name] = old[name][()]
    keras_h5.read(model, good)
    other = make("mlp_vae", hidden_units=(8, 8))
    keras_h5.read(other, new)
    for ours, theirs in zip(numbers(other), numbers(model)):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("dtype", ["<f2", "<f8", ">f4"])
def test_weights_of_another_precision_are_cast(model, good, path, make, dtype):
    with h5py.File(path, "r+") as file:
        for name in tensor_names(file):
            replace(file, name, data=file[name][()].astype(dtype))
    other = make("mlp_vae", hidden_units=(8, 8))
    keras_h5.read(other, path)
    keras_h5.read(model, good)
    for ours, theirs in zip(numbers(other), numbers(model)):
        np.testing.assert_array_equal(ours, theirs.astype(dtype).astype("float32"))


def test_what_is_no_tensor_is_passed_over(model, good, path):
    with h5py.File(path, "r+") as file:
        file.create_group("a/group/of/a/later/version")
        file.attrs["version"] = "99"
        file[KERNEL].attrs["dtype"] = "bfloat16"  # Keras would read it otherwise
    keras_h5.read(model, good)
    expected = fingerprint(model)
    keras_h5.read(model, path)
    np.testing.assert_allclose(fingerprint(model), expected)


def replace(file, name, **arguments):
    """Puts another dataset in a tensor's place: by default, of its shape and without data."""
    same = {} if "data" in arguments else {"shape": file[name].shape, "dtype": "float32"}
    del file[name]
    file.create_dataset(name, **{**same, **arguments})


def external_link(file):
    del file[KERNEL]
    file[KERNEL] = h5py.ExternalLink("/etc/hostname", "/x")


def external_group(file):
    del file["encoder"]
    file["encoder"] = h5py.ExternalLink(file.filename, "/decoder")


def soft_link(file):
    del file[KERNEL]
    file[KERNEL] = h5py.SoftLink("/decoder/layers/dense/vars/0")


def external_storage(file):
    replace(file, KERNEL, external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)])


def virtual(file):
    shape = file[KERNEL].shape
    del file[KERNEL]
    layout = h5py.VirtualLayout(shape, "float32")
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", shape)
    file.create_virtual_dataset(KERNEL, layout)


def chunks(file):
    replace(file, KERNEL, data=file[KERNEL][()], chunks=True)


def compressed(file):
    replace(file, KERNEL, data=np.zeros(file[KERNEL].shape, "float32"), compression="gzip")


def bomb(file):
    replace(file, KERNEL, shape=(2**20, 2**20), chunks=(1024, 1024), compression="gzip")


def plain_bomb(file):
    replace(file, KERNEL, shape=(2**20, 2**20))


def empty(file):
    replace(file, KERNEL)


def no_shape(file):
    del file[KERNEL]
    file[KERNEL] = h5py.Empty("float32")


def strings(file):
    replace(file, KERNEL, dtype=h5py.string_dtype())


def ragged(file):
    replace(file, KERNEL, dtype=h5py.vlen_dtype("float32"))


def compound(file):
    replace(file, KERNEL, dtype=[("a", "float32"), ("b", "float32")])


def references(file):
    replace(file, KERNEL, dtype=h5py.ref_dtype)


def booleans(file):
    replace(file, KERNEL, dtype=bool)


def integers(file):
    replace(file, KERNEL, data=np.zeros(file[KERNEL].shape, "int32"))


def floats_of_24_bits(file):
    kind = h5py.h5t.IEEE_F32LE.copy()
    kind.set_fields(23, 15, 8, 0, 15)
    kind.set_size(3)
    shape = file[KERNEL].shape
    del file[KERNEL]
    space = h5py.h5s.create_simple(shape)
    h5py.h5d.create(file.id, KERNEL.encode(), kind, space).write(
        h5py.h5s.ALL, h5py.h5s.ALL, np.zeros(shape, "float32")
    )


def named_type(file):
    file["encoder/type"] = np.dtype("float32")


def second_name(file):
    del file["encoder/layers/dense_1/vars/0"]
    file["encoder/layers/dense_1/vars/0"] = file["decoder/layers/dense_1/vars/0"]


def cycle(file):
    file["encoder/layers/encoder"] = file["encoder"]


def root(file):
    file["encoder/root"] = file["/"]


def extra(file):
    file["encoder/layers/dense_3/vars/0"] = np.zeros(3, "float32")


def extra_below(file):
    file["encoder/layers/dense/vars/2"] = np.zeros(3, "float32")


def missing(file):
    del file[BIAS]


def missing_many(file):
    del file["encoder"]


def misshapen(file):
    replace(file, KERNEL, data=file[KERNEL][()].T)


def flat(file):
    replace(file, KERNEL, data=file[KERNEL][()].ravel())


def not_a_number(file):
    file[KERNEL][3, 2] = np.nan


def infinite(file):
    file[BIAS][:2] = -np.inf


def too_large(file):
    replace(file, BIAS, data=np.full(8, 1e39), dtype="float64")


def a_tensor_for_a_group(file):
    del file["encoder/layers"]
    file["encoder/layers"] = np.zeros(3)


def a_group_for_a_tensor(file):
    del file[KERNEL]
    file.create_group(KERNEL)


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (external_link, rf"{KERNEL} is no object of this file \(ExternalLink\)"),
        (external_group, r"encoder is no object of this file \(ExternalLink\)"),
        (soft_link, rf"{KERNEL} is no object of this file \(SoftLink\)"),
        (external_storage, f"{KERNEL} is stored in another file"),
        (virtual, f"{KERNEL} is virtual, compressed or in chunks"),
        (chunks, f"{KERNEL} is virtual, compressed or in chunks"),
        (compressed, f"{KERNEL} is virtual, compressed or in chunks"),
        (bomb, f"{KERNEL} is virtual, compressed or in chunks"),
        (plain_bomb, rf"{KERNEL} has shape \(1048576, 1048576\) where dense.*kernel has \(64, 8\)"),
        (empty, f"{KERNEL} has 0 bytes where its shape asks for 2048"),
        (no_shape, KERNEL),
        (strings, f"{KERNEL} holds object where float32 was expected"),
        (ragged, f"{KERNEL} holds object where float32"),
        (compound, f"{KERNEL} holds .* where float32"),
        (references, f"{KERNEL} holds object where float32"),
        (booleans, f"{KERNEL} holds bool where float32"),
        (integers, f"{KERNEL} holds int32 where float32"),
        (floats_of_24_bits, f"{KERNEL} holds float32 where float32"),
        (named_type, "encoder/type is neither a tensor nor a group"),
        (second_name, "dense_1/vars/0 is another object under a second name"),
        (cycle, "encoder/layers/encoder is another object under a second name"),
        (root, "encoder/root is another object under a second name"),
        (extra, "the model has no encoder/layers/dense_3/vars/0"),
        (extra_below, "the model has no encoder/layers/dense/vars/2"),
        (missing, rf"the file has no {BIAS} \(dense.*/bias\)"),
        (missing_many, rf"the file has no {KERNEL} \(.*\), {BIAS} .* and 1 more"),
        (misshapen, rf"{KERNEL} has shape \(8, 64\) where dense.*/kernel has \(64, 8\)"),
        (flat, rf"{KERNEL} has shape \(512,\) where dense.*/kernel has \(64, 8\)"),
        (not_a_number, rf"{KERNEL} \(dense.*/kernel\) holds 1 numbers that are not finite"),
        (infinite, rf"{BIAS} \(dense.*/bias\) holds 2 numbers that are not finite"),
        (too_large, rf"{BIAS} \(dense.*/bias\) holds 8 numbers that are not finite"),
        (a_tensor_for_a_group, "the model has no encoder/layers"),
        (a_group_for_a_tensor, f"the file has no {KERNEL}"),
    ],
)
def test_a_malicious_file_is_refused_by_name_and_changes_nothing(model, path, spoil, match):
    with h5py.File(path, "r+") as file:
        spoil(file)
    assert_refused(model, path, match)


def test_files_that_are_no_hdf5_are_refused(model, path):
    content = path.read_bytes()
    for other in (b"", b"<!DOCTYPE html>", b"\x80\x04\x95 pickle", content[:-1], content[:1000]):
        path.write_bytes(other)
        assert_refused(model, path, "does not fit its model")


def test_a_file_of_a_great_many_objects_is_refused(model, path, monkeypatch):
    monkeypatch.setattr(keras_h5, "MOST_OBJECTS", 100)
    with h5py.File(path, "r+") as file:
        for i in range(100):
            file.create_group(f"group {i}")
    assert_refused(model, path, "it holds more than 100 objects")


def test_weights_with_the_state_of_an_optimizer_are_refused(model, path, make):
    trained = make("mlp_vae", hidden_units=(8, 8))
    trained.compile("adam")
    trained.optimizer.build(trained.trainable_variables)
    trained.save_weights(path)
    assert_refused(model, path, "the model has no optimizer/vars/0")


def test_the_weights_of_another_factory_are_refused(make, path):
    assert_refused(make("vq_vae"), path, "the model has no .*dense.* and .* more")
