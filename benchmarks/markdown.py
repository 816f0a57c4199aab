"""Tables and figures in Markdown."""


def markdown(headings, rows) -> str:
    """Returns a table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def plus_minus(value, error, digits=2) -> str:
    """Returns a figure with its error, if there is one."""
    return f"{value:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")


def whole(value) -> str:
    """Returns a figure without decimals; nothing for None."""
    return "" if value is None else f"{value:.0f}"
