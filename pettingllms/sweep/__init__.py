"""Trials and studies: run folders, process start, progress, and the search over swept values."""
