"""A study as a whole: how it is found, locked to its space, opened, shown, and written out."""
