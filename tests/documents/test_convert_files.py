"""Every real file of tests/data both ways, with OmegaConf as the reader of YAML."""

import re
from collections import Counter
from pathlib import Path

import pytest
import yaml
from omegaconf._utils import get_yaml_loader

from pettingllms.documents.convert import convert, prove
from pettingllms.documents.literals import same
from pettingllms.documents.read import parse_document, read_document
from pettingllms.documents.source import DocumentError

DATA = Path(__file__).parents[1] / "data"
TWICE = {"code_L0_prompt.yaml": "models is set twice", "code_L1_lora.yaml": "project_name is set twice"}
"""Files of a fork that OmegaConf refuses, too."""
FOLDERS = ("upstream-configs", "fork-configs")
FILES = sorted(path for folder in FOLDERS for path in (DATA / folder).rglob("*.yaml"))
READABLE = [path for path in FILES if "fork-a" not in path.parts or path.name not in TWICE]


def name(path):
    return str(path.relative_to(DATA))


def omegaconf(text):
    return yaml.load(text, Loader=get_yaml_loader()) or {}


def lines_of_comments(text):
    """Lines that hold nothing but a comment; no file has such a line inside of a text."""
    return Counter(match.strip() for match in re.findall(r"^[ \t]*#.*", text, re.MULTILINE))


def texts(path):
    """The file, its TOML, and the YAML made of that."""
    source = path.read_text(encoding="utf-8")
    toml = convert(parse_document(source, path), "toml").text
    back = convert(parse_document(toml, Path("x.toml")), "yaml").text
    return source, toml, back


def test_all_files_are_there():
    assert len([path for path in FILES if "upstream-configs" in path.parts]) == 33
    assert len(FILES) - len(READABLE) == len(TWICE)


@pytest.mark.parametrize("path", [path for path in FILES if path not in READABLE], ids=name)
def test_file_that_sets_a_key_twice_is_refused(path):
    with pytest.raises(DocumentError, match=TWICE[path.name]):
        read_document(path)


@pytest.mark.parametrize("path", READABLE, ids=name)
def test_values_are_those_that_omegaconf_reads(path):
    source, _, back = texts(path)
    assert same(omegaconf(source), omegaconf(back))


@pytest.mark.parametrize("path", READABLE, ids=name)
def test_no_line_of_comment_is_lost(path):
    source, toml, back = texts(path)
    assert lines_of_comments(source) <= lines_of_comments(toml)
    assert lines_of_comments(toml) == lines_of_comments(back)


@pytest.mark.parametrize("path", READABLE, ids=name)
def test_second_conversion_is_the_first_byte_for_byte(path):
    _, toml, back = texts(path)
    assert convert(parse_document(back, Path("x.yaml")), "toml").text == toml


@pytest.mark.parametrize("path", READABLE, ids=name)
def test_proof_holds(path):
    assert prove(convert(read_document(path), "toml")) == []


@pytest.mark.parametrize(
    "stem", ["autoevol/math_L1_iterated_br", "math/math_aggretion", "ppo_trainer/eval"], ids=str
)
def test_file_becomes_what_a_person_looked_at(stem, golden):
    path = DATA / "upstream-configs" / f"{stem}.yaml"
    _, toml, back = texts(path)
    golden(DATA / "converted" / f"{path.stem}.toml", toml)
    golden(DATA / "converted" / f"{path.stem}.yaml", back)
