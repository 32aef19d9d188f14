"""All rule pages as one Markdown file, generated from the docstrings."""

from __future__ import annotations

import sys
from pathlib import Path

import pettingllms.lint.rules  # noqa: F401 - fills RULES
from pettingllms.lint.rule import RULES

SECTIONS = {
    "PLM0": "Syntax and shape",
    "PLM1": "Names and the agent graph",
    "PLM2": "References and paths",
    "PLM3": "Numbers and resources",
    "PLM4": "Sweep",
    "PLM5": "Environment and data",
    "PLM6": "YAML and conversion",
    "PLM9": "Accepted but without effect",
}


def pages() -> str:
    """The Markdown text, rules in order of code."""
    lines = ["# Rules", "", "`pettingllms rule PLM101` prints one page.", ""]
    for prefix, title in SECTIONS.items():
        lines += [f"## {prefix}: {title}", ""]
        for code in sorted(code for code in RULES if code.startswith(prefix)):
            rule = RULES[code]
            lines += [f"### {code} {rule.name} ({rule.severity})", "", rule.page, ""]
    return "\n".join(lines)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(pages(), encoding="utf-8")
