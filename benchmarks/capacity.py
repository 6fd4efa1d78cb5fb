"""How much of everything a billion events a day needs: ``python -m benchmarks.capacity [--write docs/capacity.md]``.

Reads what ``benchmarks.growth`` measured and prints the arithmetic of ``capacity_plan`` as Markdown; ``--write`` puts
it between the two marks of a document. What is assumed, measured, quoted from docs/benchmarks.md and computed is told
apart.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks.capacity_plan import Line, Measured, Wish, plan
from benchmarks.growth_report import put

FIGURES = Path(__file__).with_name("growth.json")
MARK = "python -m benchmarks.capacity"


def markdown(sections: Mapping[str, Iterable[Line]]) -> str:
    """All sections as tables."""
    parts = []
    for title, lines in sections.items():
        rows = "\n".join(f"| {line.what} | {line.how} | {line.result} | {line.source} |" for line in lines)
        parts.append(f"### {title}\n\n| what | arithmetic | result | source |\n| --- | --- | --- | --- |\n{rows}\n")
    return "\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capacity", description=__doc__)
    parser.add_argument("--figures", type=Path, default=FIGURES, help="file of benchmarks.growth")
    parser.add_argument("--write", type=Path, metavar="FILE", help="document in which the tables stand")
    options = parser.parse_args(arguments)
    block = markdown(plan(Measured.of(json.loads(options.figures.read_text())), Wish()))
    if options.write is None:
        print(block)
    else:
        options.write.write_text(put(options.write.read_text(), block, MARK))
    return 0


if __name__ == "__main__":
    sys.exit(main())
