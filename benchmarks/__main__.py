"""Lists the benchmarks: python -m benchmarks."""

import ast
from pathlib import Path


def scripts() -> dict[str, str]:
    """Returns the names of the benchmarks and their first lines, which say how to run them."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        line = text.partition("\n")[0]
        if f"python -m benchmarks.{path.stem}" in line:
            found[path.stem] = line
    return found


def main():
    for line in scripts().values():
        print(line)
    print("Each has --help, and --smoke for a run of seconds. Results: benchmarks/README.md")


if __name__ == "__main__":
    main()
