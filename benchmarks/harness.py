"""Times two commands in turn, A B A B, and prints both and their ratio."""

import os
import platform
import statistics
import subprocess
import time


def seconds(command, environment=None):
    """Wall-clock seconds of one run of `command`; it must succeed."""
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - begin


def compare(name, numerator, denominator, runs):
    """Print min, median and max of both commands and the ratio of their medians; returns the ratio."""
    for command in (numerator, denominator):
        seconds(command)
    pairs = [(seconds(numerator), seconds(denominator)) for _ in range(runs)]
    print(f"{name}: {runs} alternating runs, Python {platform.python_version()}, {os.cpu_count()} cores")
    for label, times in zip(("numerator", "denominator"), zip(*pairs, strict=True), strict=True):
        middle = statistics.median(times)
        print(f"  {label:11} min {min(times):.3f}  median {middle:.3f}  max {max(times):.3f} s")
    ratios = [a / b for a, b in pairs]
    ratio = statistics.median(ratios)
    print(f"  ratio       min {min(ratios):.2f}  median {ratio:.2f}  max {max(ratios):.2f}")
    return ratio
