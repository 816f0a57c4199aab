"""Where a model comes from: the package, a folder or the Hub, as a user's name or path says."""

import dataclasses
import warnings
from pathlib import Path
from types import ModuleType

from keras_vae import registry
from keras_vae.checks import check_path
from keras_vae.hub import formats
from keras_vae.hub.errors import WeightsError
from keras_vae.hub.fetch import fetch
from keras_vae.hub.folder import CONFIG, METADATA, WEIGHTS, check_file, read_entry
from keras_vae.hub.place import Place, parse
from keras_vae.registry import UnknownModelError, info, list_models

_REINSTALL = "It is not on the Hub. Reinstall it: pip install --force-reinstall keras-vae"


@dataclasses.dataclass(frozen=True)
class Source:
    """A model's entry and weights, wherever they are.

    Args:
        entry: the registry's entry of a published model; None: it is read beside the weights.
        weights: the file of weights on this machine; None: it is only on the Hub, or a folder's.
        place: the model on the Hub; None: it is only on this machine.
        folder: a folder on this machine with a model of another library.
    """

    entry: dict | None = None
    weights: Path | None = None
    place: Place | None = None
    folder: Path | None = None

    def open(self) -> tuple[dict, Path, ModuleType]:
        """Returns the entry, the weights, which are the entry's, and the format that reads them.

        Raises:
            WeightsError: if the weights are missing or damaged, and are not on the Hub either.
            HubError: if the Hub, or the connection to it, fails.
        """
        if self.weights:
            entry = self.entry or read_entry(self.weights.parent)
            try:
                check_file(self.weights, entry)
                return entry, self.weights, formats.keras_h5
            except WeightsError as error:
                if not self.place:
                    raise WeightsError(f"{error} {_REINSTALL if self.entry else ''}") from error
                warnings.warn(f"{error} Loading {self.place} instead.", stacklevel=3)
        folder = self.folder or fetch(self.place, self.entry)
        if foreign := formats.find(folder):
            return (
                {"fingerprint": None, **(self.entry or {}), **foreign.read_entry(folder)},
                folder,
                foreign,
            )
        return self.entry or read_entry(folder), folder / WEIGHTS, formats.keras_h5


def resolve(source, *, revision=None, cache_dir=None, token=None, local_files_only=False) -> Source:
    """Finds out what a name, an address or a path stands for; the arguments are those of `load`.

    Raises:
        UnknownModelError: if there is no such model or folder.
        ValueError: if an argument is not one of those that `load` takes.
    """
    source = check_path("source", source)
    options = {"cache_dir": cache_dir, "token": token, "local_files_only": local_files_only}
    if source in list_models():
        entry = info(source)
        where = entry.get("subfolder", "")
        if revision is not None:
            return Source(entry, place=Place(entry["repository"], revision, where, **options))
        pin = entry["revision"]
        place = pin and Place(entry["repository"], pin, where, **options)
        if "file" not in entry:
            return Source(entry, place=place)
        return Source(entry, registry.PRETRAINED / entry["file"], place)
    # Joining paths drops a slash, and addresses are copied from browsers: both get the rule.
    if source.lower().startswith(("hf:", "https:", "http:")):
        return Source(place=Place(*parse(source, revision), **options))
    folder = Path(source)
    if not folder.is_dir():
        info(source)  # says that there is no such model
    is_ours = all((folder / file).is_file() for file in (CONFIG, METADATA))
    if not is_ours and not formats.find(folder):
        files = "config.json, metadata.json and model.weights.h5"
        raise UnknownModelError(
            f"{source!r} holds no model, as save_to_folder writes it: {files}; "
            "nor an autoencoder of diffusers."
        )
    if not (revision is cache_dir is token is None):
        raise ValueError(
            f"revision, cache_dir and token are for models on the Hub. {source!r} is a folder."
        )
    return Source(weights=folder / WEIGHTS) if is_ours else Source(folder=folder)
