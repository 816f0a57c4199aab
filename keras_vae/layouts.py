"""Which library wrote a model's folder, told from its files without loading anything."""

from pathlib import Path

from keras_vae.files import read_json

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
LARGEST_JSON = 2**20  # bytes of the first two; ours have less than a hundredth of it
TAESD_SIDES = ("encoder", "decoder")


def library(folder) -> str | None:
    """Returns "keras_vae", "diffusers", "taesd" (the authors' own files), or None for no model."""
    config = Path(folder, CONFIG)
    if config.is_file():
        if Path(folder, METADATA).is_file():
            return "keras_vae"
        try:
            if "_class_name" in read_json(config, LARGEST_JSON):
                return "diffusers"
        except ValueError:
            return None
    return "taesd" if taesd_files(folder) else None


def check_own(folder):
    """Raises ValueError if a folder's config.json was not written by keras_vae."""
    config = Path(folder, CONFIG)
    if not config.exists() or library(folder) == "keras_vae":
        return
    try:
        own = {"factory", "architecture"} & set(read_json(config, LARGEST_JSON))
    except ValueError:
        own = None
    if not own:
        raise ValueError(
            f"{config} was not written by keras_vae, and would be replaced. Choose another folder."
        )


def taesd_files(folder) -> list[Path]:
    """Returns the encoder's file and the decoder's; none unless there is exactly one of each."""
    pairs = [sorted(Path(folder).glob(f"*{side}.safetensors")) for side in TAESD_SIDES]
    return [pair[0] for pair in pairs] if all(len(pair) == 1 for pair in pairs) else []
