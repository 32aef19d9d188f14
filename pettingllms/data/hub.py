"""Datasets of the Hugging Face hub: from a folder of one's own, the hub's cache, or the network.

Files are fetched and read; no code of a dataset is ever run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pettingllms.data.rows import short
from pettingllms.errors import RefusedError

MIRRORS = "PETTINGLLMS_DATA_DIR"
"""The environment variable with folders that hold `owner/name/…`, which are looked into first."""
SECONDS = 30.0
"""How long the hub may take to say which files a dataset has."""

Chosen = Callable[[Sequence[str], str], Iterable[str]]
"""From the names of all files, and words for where they are, to those that are needed."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A dataset as it lies on this machine. `revision`: the commit, None where nothing tells it."""

    root: Path
    names: tuple[str, ...]
    revision: str | None


def repository(repo: str, revision: str | None, chosen: Chosen, *, pinned: bool) -> Repository:
    """The dataset `repo` at `revision`, with the files that `chosen` names.

    `pinned`: a folder of one's own counts only where its name tells that revision. Raises RefusedError where
    the dataset cannot be had, saying where it may be put.
    """
    for root, told in _mirrors(repo, revision, pinned=pinned):
        if root.is_dir():
            return Repository(root, files_below(root), told)
    try:
        from huggingface_hub import constants
    except ImportError:
        raise RefusedError(
            f"dataset {repo!r} is not on this machine, and huggingface_hub is not installed",
            help=f"install with: uv sync --extra data (or: pip install huggingface_hub); or {_advice(repo)}",
        ) from None
    if constants.HF_HUB_OFFLINE:
        return _cached(repo, revision, "HF_HUB_OFFLINE is set")
    return _fetched(repo, revision, chosen)


def files_below(root: Path) -> tuple[str, ...]:
    """The names of all files below `root`, relative to it, with `/` between parts."""
    return tuple(sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()))


def _mirrors(repo: str, revision: str | None, *, pinned: bool) -> Iterator[tuple[Path, str | None]]:
    """Where copies of one's own may lie, and the revision that the name of each tells."""
    for base in filter(None, os.environ.get(MIRRORS, "").split(os.pathsep)):
        folder = Path(base).expanduser().absolute()
        if revision is not None:
            yield folder / f"{repo}@{revision.replace('/', '-')}", revision
        if not pinned:
            yield folder / repo, None


def _cached(repo: str, revision: str | None, why: str) -> Repository:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        found = snapshot_download(repo, repo_type="dataset", revision=revision, local_files_only=True)
    except (LocalEntryNotFoundError, ValueError):
        asked = "" if revision is None else f" at revision {revision}"
        raise RefusedError(
            f"dataset {repo!r}{asked} is not on this machine, and {why}",
            help=f"with a network call: hf download --repo-type dataset {repo}"
            + ("" if revision is None else f" --revision {revision}")
            + f"; or {_advice(repo)}",
        ) from None
    root = Path(found)
    return Repository(root, files_below(root), root.name)


def _fetched(repo: str, revision: str | None, chosen: Chosen) -> Repository:
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        info = HfApi().dataset_info(repo, revision=revision, timeout=SECONDS)
        names = tuple(file.rfilename for file in info.siblings or ())
        # All splits are fetched, so that without a network the same ones are there.
        wanted = list(chosen(names, f"dataset {repo}"))
        paths = [Path(hf_hub_download(repo, name, repo_type="dataset", revision=info.sha)) for name in wanted]
    except RefusedError:
        raise
    except (GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError) as cause:
        raise RefusedError(
            f"dataset {repo!r}: {short(cause)}",
            help="check the spelling and the revision; for restricted access log in with: hf auth login",
        ) from None
    # Whatever the network, a proxy or the disk has to say.
    except Exception as cause:
        said = short(f"{type(cause).__name__}: {cause}")
        return _cached(repo, revision, f"the hub cannot be reached ({said})")
    return Repository(paths[0].parents[wanted[0].count("/")], names, info.sha)


def _advice(repo: str) -> str:
    return f"put its files into {repo}/ below a folder that the environment variable {MIRRORS} names"
