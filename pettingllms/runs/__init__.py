"""Run folders: what a run can go on from, and who may; light, for the worker and the command line."""
