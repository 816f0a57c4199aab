"""The files of a folder: all of them, and a report of those that were left out."""

import os
from collections import Counter
from pathlib import Path

_HINTS = {
    ".heic": "to read them: pip install pillow-heif",
    ".heif": "to read them: pip install pillow-heif",
    ".svg": "a drawing without pixels",
}


class LeftOut(dict):
    """What was not read of a folder: `{path: reason}`.

    Attributes:
        others: the paths among these of files that are no pictures and have no picture's extension.
        frames: of animations, of which only the first frame was read: `{path: frames left}`.
    """

    def __init__(self):
        super().__init__()
        self.others, self.frames = [], {}

    def lines(self, most=10) -> list[str]:
        """Says what was left out: the reasons, up to a number of them, and the rest by its kind."""
        others = self.others if len(self.others) > 1 else []
        reasons = [reason for path, reason in self.items() if path not in set(others)]
        lines = reasons[:most]
        if len(reasons) > most:
            lines.append(f"{len(reasons) - most} more.")
        if others:
            kinds = Counter(map(_kind, others))
            kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
            lines.append(f"{len(others)} files that are not pictures: {kinds}.")
        if self.frames:
            counts = (sum(self.frames.values()), "frame"), (len(self.frames), "animation")
            frames, animations = (f"{n} {what}{'s' * (n > 1)}" for n, what in counts)
            lines.append(f"{frames} of {animations}: the first was read.")
        return lines


def find_files(folder, left: LeftOut) -> list[Path]:
    """Returns all files in a folder, its subfolders and linked folders, in the order of names.

    Args:
        folder: the folder.
        left: reports what is no file: links that lead nowhere, folders that cannot be read, hidden
            files and folders (whose names begin with a dot).

    Raises:
        FileNotFoundError: if there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"No such folder: {folder}")
    found, seen, folders, links = [], set(), [folder], []
    while folders or links:
        current = folders.pop() if folders else links.pop()  # each folder once, not as a link
        if os.path.realpath(current) in seen:
            left[current] = f"{current} links to a folder that is read already."
            continue
        seen.add(os.path.realpath(current))
        try:
            entries = list(current.iterdir())
        except OSError as error:
            left[current] = f"{current} cannot be read: {error.strerror}"
            continue
        for path in entries:
            if path.name.startswith("."):
                left[path] = f"{path} is hidden."
                left.others.append(path)
            elif path.is_dir():
                (links if path.is_symlink() else folders).append(path)
            elif path.is_file():
                found.append(path)
            else:
                nowhere = path.is_symlink() and not path.exists()
                left[path] = f"{path} {'links to nothing' if nowhere else 'is not a file'}."
    return sorted(found)


def _kind(path):
    if path.name.startswith("."):
        return "hidden"
    suffix = path.suffix.lower()
    hint = f" ({_HINTS[suffix]})" if suffix in _HINTS else ""
    return f"{suffix}{hint}" if suffix else "without an extension"
