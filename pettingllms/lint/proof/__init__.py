"""The proof of a sweep: its cells, what can change what in them, and every rule over all of them."""
