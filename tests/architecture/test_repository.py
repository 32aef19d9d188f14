"""What the repository itself must be: its tree documented, its files free of addresses."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REGISTRY_HOSTS = [
    "py" + "pi.org",
    "files.python" + "hosted.org",
    "registry.npm" + "js",
    "deb.debian" + ".org",
]


def tracked():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_a_package_registry():
    for path in tracked():
        content = path.read_bytes().decode(errors="replace").lower()
        assert not [host for host in REGISTRY_HOSTS if host in content], path


def test_no_lock_file_is_committed():
    assert not [p for p in tracked() if p.name in {"uv.lock", "poetry.lock", "package-lock.json"}]


def documented_tree():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    block = re.search(r"```text\n(.*?)```", text, re.DOTALL).group(1)
    folders, found = [], set()
    for line in block.splitlines():
        match = re.match(r"( *)(\S+)", line)
        if not match:
            continue
        depth = len(match.group(1)) // 2
        for name in re.findall(r"\S+", line.split("  #")[0] if depth else match.group(2)):
            folders[depth:] = [name.rstrip("/")]
            found.add("/".join(folders))
    return found


def test_architecture_tree_is_the_real_one():
    package = {p.relative_to(ROOT) for p in tracked() if p.is_relative_to(ROOT / "pettingllms")}
    real = {p.as_posix() for p in package if p.name != "__init__.py"}
    real |= {parent.as_posix() for p in package for parent in p.parents if parent.as_posix() != "."}
    real |= {p.relative_to(ROOT).parts[0] for p in tracked() if len(p.relative_to(ROOT).parts) > 1}
    assert documented_tree() == real


def test_versions_are_pinned():
    constraints = (ROOT / "constraints.txt").read_text().splitlines()
    assert len(constraints) > 100
    assert all(re.match(r"[a-z0-9._-]+==\S+( ; .*)?$", line) for line in constraints)
