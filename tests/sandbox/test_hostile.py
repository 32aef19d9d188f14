"""The hostile programs, as root and as an ordinary user, with bubblewrap around them and without."""

import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hostile_programs import HOSTILE

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
USERS = ("root", "ordinary user")
NOBODY = 65534
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="layers of Linux")]


def reachable(program):
    """Whether every user can run a Python."""
    path = Path(program).resolve()
    return path.is_file() and all(folder.stat().st_mode & 0o001 for folder in path.parents)


def python_for(user):
    """A Python that this user can run; the matrix needs the standard library alone."""
    if user == "root" or os.geteuid() != 0:
        return sys.executable
    others = ("python3.11", "python3.12", "python3.13", "python3")
    found = [
        sys.executable,
        *filter(None, (shutil.which(name, path="/usr/bin:/usr/local/bin") for name in others)),
    ]
    return next((program for program in found if reachable(program)), None)


def run_as(user, words):
    """What a script of this folder prints as JSON, run by `user`."""
    if user == "root" and os.geteuid() != 0:
        pytest.skip("these tests are not run by root")
    python = python_for(user)
    if python is None:
        pytest.skip("no Python that an ordinary user could run")
    changed = (
        {"user": NOBODY, "group": NOBODY, "extra_groups": []} if user != "root" and os.geteuid() == 0 else {}
    )
    done = subprocess.run(
        [python, "-B", *map(str, words)],
        env={"PYTHONPATH": f"{ROOT}:{HERE}", "PATH": os.environ["PATH"]},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
        **changed,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@functools.cache
def matrix(user, wall):
    if wall == "bubblewrap" and shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    report = run_as(user, [HERE / "hostile_matrix.py", *([] if wall else ["bubblewrap"])])
    ended = report.get("programs", {})
    contained = sum(not one["wrong"] for one in ended.values())
    walls = "in bubblewrap" if wall else "without namespaces"
    print(
        f"\n{user} (uid {report['user']}, {walls}, {report['strength']}): "
        f"contained {contained}/{len(HOSTILE)}, peak of one process {report.get('peak_mib', 0)} MiB"
    )
    return report


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("wall", ["", "bubblewrap"], ids=["layers", "bubblewrap"])
@pytest.mark.parametrize("user", USERS)
def test_program_is_contained(user, wall, name):
    report = matrix(user, wall)
    assert report["strength"] == "strong", report["missing"]
    if wall:
        assert report["layers"]["bubblewrap"] == ""
    assert report["programs"][name]["wrong"] == []
    assert report["peak_mib"] <= 256


@pytest.mark.parametrize("user", USERS)
def test_the_probe_says_what_is_left_where_namespaces_are_forbidden(user):
    report = run_as(user, [HERE / "no_namespaces.py"])
    print(f"\n{user}, namespaces forbidden:\n  " + "\n  ".join(report["lines"]))
    assert report["strength"] == "strong"
    assert report["layers"]["bubblewrap"] != ""
