"""Where a model comes from: the package, a folder or the Hub, as a user's name or path says."""

import dataclasses
import warnings
from pathlib import Path
from types import ModuleType

from keras_vae import layouts, registry
from keras_vae.checks import check_path
from keras_vae.hub import formats
from keras_vae.hub.errors import WeightsError
from keras_vae.hub.fetch import fetch
from keras_vae.hub.folder import check_file, read_entry
from keras_vae.hub.place import Place, parse
from keras_vae.registry import WEIGHTS, info, list_models, unknown

_REINSTALL = "It is not on the Hub. Reinstall it: pip install --force-reinstall keras-vae"


@dataclasses.dataclass(frozen=True)
class Source:
    """A model's entry and weights, wherever they are.

    Args:
        entry: the registry's entry of a published model; None: it is read beside the weights.
        weights: the file of our own weights on this machine; None: there is none.
        place: the model on the Hub; None: it is only on this machine.
        folder: a folder on this machine with a model of another library; None: there is none.
    """

    entry: dict | None = None
    weights: Path | None = None
    place: Place | None = None
    folder: Path | None = None

    def open(self) -> tuple[dict, Path, ModuleType]:
        """Returns the entry, the file or folder of its weights, and the format that reads them.

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
        if layouts.library(folder) == "keras_vae":
            return self.entry or read_entry(folder), folder / WEIGHTS, formats.keras_h5
        known = {"fingerprint": None, **(self.entry or {})}
        kind = formats.find(folder)
        return {**known, **kind.read_entry(folder)}, folder, kind


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
        is_ours, where = source in registry.entries(), entry.get("subfolder", "")
        if revision is not None:
            return Source(entry, place=Place(entry["repository"], revision, where, **options))
        pin = entry["revision"]
        place = pin and Place(entry["repository"], pin, where, **options)
        return Source(entry, registry.PRETRAINED / entry["file"] if is_ours else None, place)
    # Joining paths drops a slash, and addresses are copied from browsers: both get the rule.
    if source.lower().startswith(("hf:", "https:", "http:")):
        return Source(place=Place(*parse(source, revision), **options))
    library = layouts.library(source)
    if library is None:
        raise unknown(source)
    if not (revision is cache_dir is token is None):
        raise ValueError(
            f"revision, cache_dir and token are for models on the Hub. {source!r} is a folder."
        )
    if library == "keras_vae":
        return Source(weights=Path(source, WEIGHTS))
    return Source(folder=Path(source))
