"""Benchmarks and exports of what was trained; what needs weights is done by processes of `training`."""
