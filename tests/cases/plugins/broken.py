"""A plug-in that cannot be loaded: see PLM506."""

LETTERS = "abc"
FIRST = LETTERS[3]
