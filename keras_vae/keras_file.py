"""What a .keras file says of its model, read without Keras: nothing in the file is run."""

import json
import zipfile
from pathlib import Path

_LARGEST = 2**26  # bytes of config.json: it describes each layer


def describe(path) -> dict:
    """Returns what is known of the model in a .keras file, a dict like that of `registry.info`.

    Raises:
        ValueError: if it is not such a file.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as file:
            config, metadata = (_read(file, name) for name in ("config.json", "metadata.json"))
        saved_with = {"keras": metadata["keras_version"], "date": metadata["date_saved"]}
        parts = config["config"]
        made_by = parts.get("made_by") or {}
        kinds = {
            part: parts[part]["class_name"]
            for part in ("latent", "likelihood", "objective")
            if isinstance(parts.get(part), dict)
        }
        return {
            "class": config["class_name"],
            **made_by,
            **kinds,
            "bytes": path.stat().st_size,
            "saved_with": saved_with,
        }
    except (zipfile.BadZipFile, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} is not a file that model.save wrote.") from error


def _read(file, name):
    if file.getinfo(name).file_size > _LARGEST:
        raise ValueError
    return json.loads(file.read(name))
