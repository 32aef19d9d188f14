"""Datasets by name: where each lies on the Hugging Face hub, and who reads its rows."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from pettingllms.data.rows import BadReason, Converter
from pettingllms.types import Split


@dataclass(frozen=True, slots=True)
class Preset:
    """A public dataset.

    `env`: the environment whose tasks it holds. `repo`, `revision`: the dataset repository. `files`: of each
    split, as patterns. `converter`: `module:function` for its rows. `known`: what is known to be wrong with
    some of its rows; such rows are left out and counted, and do not count for `max_bad_fraction`. `overlaps`:
    by the name of another preset, the field and the value by which its rows are known. `also`: another name.
    `remarks`: what to know before using it.
    """

    env: str
    repo: str
    files: Mapping[Split, tuple[str, ...]]
    converter: str
    revision: str = "main"
    known: frozenset[BadReason] = frozenset()
    overlaps: Mapping[str, tuple[str, Any]] = field(default_factory=dict)
    also: str = ""
    remarks: str = ""


_MATH, _CODE = "pettingllms.envs.math_rows", "pettingllms.envs.code_rows"
_SEARCH = "pettingllms.envs.search_rows"
_REPEATED = frozenset({BadReason.DUPLICATE})
_BARE = "needs a corpus of your own, or the web"


def _flash_rag(folder: str, *splits: Split, remarks: str = "") -> Preset:
    """One of the sets of FlashRAG, which has a folder of JSON lines for each."""
    own = {split: (f"{folder}/{'dev' if split == 'val' else split}.jsonl",) for split in splits}
    converter = f"{_SEARCH}:flash_rag"
    return Preset(
        "search_env", "RUC-NLPIR/FlashRAG_datasets", own, converter, known=_REPEATED, remarks=remarks
    )


PRESETS: Mapping[str, Preset] = {
    "polaris": Preset(
        env="math_env",
        repo="POLARIS-Project/Polaris-Dataset-53K",
        files={"train": ("*.parquet", "*.jsonl")},
        converter=f"{_MATH}:polaris",
        known=_REPEATED,
        remarks="some answers are expressions",
    ),
    "dapo_math": Preset(
        env="math_env",
        repo="BytedTsinghua-SIA/DAPO-Math-17k",
        files={"train": ("data/*.parquet",)},
        converter=f"{_MATH}:dapo",
        also="dapo",
        known=_REPEATED,
        remarks="rows are repeated about a hundred times; the instruction around each question is taken off",
    ),
    "aime_past": Preset(
        env="math_env",
        repo="gneubig/aime-1983-2024",
        # The repository holds a CSV file; the hub keeps it as parquet, too.
        revision="refs/convert/parquet",
        files={"train": ("default/train/*.parquet",)},
        converter=f"{_MATH}:aime",
        known=_REPEATED,
        overlaps={"AIME24": ("Year", 2024)},
        remarks="without the year 2024 where `AIME24` is the benchmark",
    ),
    "AIME24": Preset(
        env="math_env",
        repo="Maxwell-Jia/AIME_2024",
        files={"test": ("*.parquet",)},
        converter=f"{_MATH}:aime",
        revision="8d88b2876a82a080e2f172cc9b25d0d9d2cb4792",
    ),
    "AIME25": Preset(
        env="math_env",
        repo="yentinglin/aime_2025",
        files={"test": ("*.parquet",)},
        converter=f"{_MATH}:aime",
    ),
    "MATH500": Preset(
        env="math_env",
        repo="HuggingFaceH4/MATH-500",
        files={"test": ("test.jsonl",)},
        converter=f"{_MATH}:math500",
        remarks="many answers are expressions",
    ),
    "gsm8k": Preset(
        env="math_env",
        repo="openai/gsm8k",
        files={"train": ("main/train-*.parquet",), "test": ("main/test-*.parquet",)},
        converter=f"{_MATH}:gsm8k",
    ),
    "OlympiadBench": Preset(
        env="math_env",
        repo="Hothan/OlympiadBench",
        files={"test": ("*OE_TO_maths_en_COMP*.parquet",)},
        converter=f"{_MATH}:olympiad_bench",
        known=_REPEATED,
        remarks="the part `OE_TO_maths_en_COMP`: competition mathematics in English, without images",
    ),
    "apps": Preset(
        env="code_env",
        repo="codeparrot/apps",
        files={"train": ("train.jsonl",), "test": ("test.jsonl",)},
        converter=f"{_CODE}:apps",
        known=frozenset(
            {
                *(BadReason.NO_TESTS, BadReason.TEST_MISMATCH, BadReason.MISSING_FIELD),
                *(BadReason.BAD_JSON, BadReason.DUPLICATE),
            }
        ),
        remarks="many rows have no tests, some hold numbers too long to read",
    ),
    "CodeContests": Preset(
        env="code_env",
        repo="deepmind/code_contests",
        files={
            "train": ("data/train-*.parquet",),
            "val": ("data/valid-*.parquet",),
            "test": ("data/test-*.parquet",),
        },
        converter=f"{_CODE}:code_contests",
        known=frozenset({BadReason.NO_TESTS, BadReason.DUPLICATE, BadReason.GOLDEN_FAILS}),
        remarks="problems with several right answers have no checker; generated tests hold faults",
    ),
    "LiveCodeBench": Preset(
        env="code_env",
        repo="livecodebench/code_generation_lite",
        files={"test": ("test*.jsonl",)},
        converter=f"{_CODE}:live_code_bench",
        known=_REPEATED,
        remarks="private tests are packed with pickle, of which nothing but texts is read",
    ),
    "hotpotqa": Preset(
        env="search_env",
        repo="hotpotqa/hotpot_qa",
        files={"train": ("distractor/train-*.parquet",), "val": ("distractor/validation-*.parquet",)},
        converter=f"{_SEARCH}:hotpot",
        known=_REPEATED,
        remarks="brings ten paragraphs with each question, in which is searched",
    ),
    "hotpotqa_fullwiki": Preset(
        env="search_env",
        repo="hotpotqa/hotpot_qa",
        files={"train": ("fullwiki/train-*.parquet",), "val": ("fullwiki/validation-*.parquet",)},
        converter=f"{_SEARCH}:hotpot_fullwiki",
        known=_REPEATED,
        remarks="needs a corpus of your own, or the web",
    ),
    "nq": _flash_rag("nq", "train", "val", "test", remarks=_BARE),
    "triviaqa": _flash_rag("triviaqa", "train", "val", "test", remarks=_BARE),
    "popqa": _flash_rag("popqa", "test", remarks=_BARE),
    "flashrag_hotpotqa": _flash_rag("hotpotqa", "train", "val", remarks=_BARE),
    "2wikimultihopqa": _flash_rag("2wikimultihopqa", "train", "val", remarks=_BARE),
    "musique": _flash_rag("musique", "train", "val", remarks=_BARE),
    "bamboogle": _flash_rag("bamboogle", "test", remarks=_BARE),
}
"""The names that `env.dataset` and `env.benchmark` know; case, `-` and `_` do not matter."""


def preset_name(word: str) -> str | None:
    """The preset that `word` means, by its name, or by its repository where that has no other; else None."""
    wanted = _plain(word)
    named = [
        name for name, preset in PRESETS.items() if wanted and wanted in (_plain(name), _plain(preset.also))
    ]
    stored = [name for name, preset in PRESETS.items() if wanted and _plain(preset.repo) == wanted]
    return named[0] if named else (stored[0] if len(stored) == 1 else None)


def preset_converter(preset: Preset) -> Converter:
    """Import and return what reads the rows of `preset`."""
    module, _, function = preset.converter.partition(":")
    return cast("Converter", getattr(importlib.import_module(module), function))


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
