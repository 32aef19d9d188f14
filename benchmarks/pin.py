"""Resolves the project anew and writes every exact version into pyproject.toml and the lists for pip.

The lock file itself is not committed, as it records addresses; names and versions are enough to get
the same packages everywhere. A package that has several versions, for different platforms or Python
versions, is pinned once per set of markers; one that differs between conflicting extras is left to them.
"""

import subprocess
import tomllib
from pathlib import Path

import tomlkit

ROOT = Path(__file__).resolve().parent.parent


def pins(lock):
    lines = []
    by_name = {}
    for package in lock["package"]:
        if "registry" in package["source"]:
            by_name.setdefault(package["name"], []).append(package)
    for name, packages in sorted(by_name.items()):
        markers = [package.get("resolution-markers", []) for package in packages]
        if len(packages) == 1:
            lines.append(f"{name}=={packages[0]['version']}")
        elif not any("extra" in marker for of_one in markers for marker in of_one):
            for package, of_one in zip(packages, markers, strict=True):
                condition = " or ".join(f"({marker})" for marker in of_one)
                lines.append(f"{name}=={package['version']} ; {condition}")
    return lines


def main():
    path = ROOT / "pyproject.toml"
    document = tomlkit.parse(path.read_text())
    uv = document["tool"]["uv"]
    uv.pop("constraint-dependencies", None)
    path.write_text(tomlkit.dumps(document))
    (ROOT / "uv.lock").unlink(missing_ok=True)
    subprocess.run(["uv", "lock"], cwd=ROOT, check=True)
    lines = pins(tomllib.loads((ROOT / "uv.lock").read_text()))
    listed = tomlkit.array()
    listed.extend(lines)
    uv["constraint-dependencies"] = listed.multiline(True)
    path.write_text(tomlkit.dumps(document))
    (ROOT / "constraints.txt").write_text("".join(line + "\n" for line in lines))
    subprocess.run(["uv", "lock"], cwd=ROOT, check=True)
    # pip cannot drop a dependency, so it gets the whole list and `--no-deps`. torchvision and torchaudio are
    # not needed for text, and fail beside another build of torch than the one they were made for.
    export = "uv export --extra cpu --no-emit-project --no-hashes --no-annotate --no-header --quiet"
    left_out = "--no-emit-package torchvision --no-emit-package torchaudio"
    command = [*export.split(), *left_out.split(), "--output-file", "requirements-cpu.txt"]
    subprocess.run(command, cwd=ROOT, check=True)
    print(f"pinned {len(lines)} versions")


if __name__ == "__main__":
    main()
