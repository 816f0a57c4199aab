"""Lists the benchmarks: python -m benchmarks."""

import ast
from pathlib import Path


def scripts() -> dict[str, str]:
    """Returns the names of the modules here that can be run, and what each says it is."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        source = path.read_text(encoding="utf-8")
        if not path.stem.startswith("_") and '__name__ == "__main__"' in source:
            found[path.stem] = ast.get_docstring(ast.parse(source)).splitlines()[0]
    return found


def main():
    for line in scripts().values():
        print(line)
    print("Each has --help, and --smoke for a run of seconds. Results: benchmarks/README.md")


if __name__ == "__main__":
    main()
