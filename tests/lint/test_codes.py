"""The codes of rules are frozen: a code is never given to another rule, and none goes away."""

from pathlib import Path

from pettingllms.lint.rule import RULES

FROZEN = Path(__file__).with_name("codes.txt")


def test_codes_keep_their_names():
    """A new rule adds a line to `codes.txt`; a line there never changes."""
    frozen = [line.split() for line in FROZEN.read_text().splitlines()]
    assert [[code, RULES[code].name] for code in sorted(RULES)] == frozen
