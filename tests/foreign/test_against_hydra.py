"""An imported command line gives the tree that Hydra composes from the same words."""

import shlex

import pytest
from hydra.errors import HydraException
from hydra_reference import differences, hydra_tree, our_tree
from hypothesis import given, settings
from hypothesis import strategies as st

from pettingllms.foreign.sources import import_text

FILES = {
    "experiment.yaml": "defaults:\n  - env: math\n  - model: small\n  - _self_\n"
    "run: {steps: 5, name: x, rate: 1e-4, list: [1, 2], flag: true, word: w}\nother: null\n",
    "env/math.yaml": "name: math_env\nturns: 3\n",
    "env/code.yaml": "name: code_env\nlimit: 7\n",
    "model/small.yaml": "path: a/b\n",
    "model/large.yaml": "path: c/d\nsize: 2\n",
    "extra/more.yaml": "x: 1\n",
}
SCALARS = ["1", "-2", "1.5", "1e-6", "true", "False", "null", "word", "two words", "a/b-c.d", "07", "a:b", ""]
QUOTED = ["'quoted, text'", "''", '"1"', "\\,", "${run.word}", "x${run.word}y"]
VALUES = st.sampled_from([*SCALARS, *QUOTED, "[1,2]", "[a, 'b c', {k: 1}]", "{a: 1, b: x}", "{}", "[]"])
KEYS = ["run.steps", "run.name", "run.rate", "run.list", "other", "run.flag", "env.turns", "model.path"]
PATHS = st.sampled_from(KEYS)
NEW = st.sampled_from(["run.new", "fresh.key.deep", "fresh.other", "run.extra"])
OVERRIDES = st.one_of(
    st.builds("{}={}".format, PATHS, VALUES),
    st.builds("+{}={}".format, NEW, VALUES),
    st.builds("++{}={}".format, st.one_of(PATHS, NEW), VALUES),
    st.sampled_from(["env=code", "model=large", "env=math", "+extra=more", "+extra@run.more=more"]),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("configs")
    for name, text in FILES.items():
        (made / name).parent.mkdir(exist_ok=True)
        (made / name).write_text(text)
    return made


def check(folder, overrides):
    """False where Hydra refuses the words, or where a part of them has no place in a file."""
    try:
        theirs = hydra_tree(folder, "experiment", tuple(overrides))
    except HydraException:
        return False
    command = f"python train.py --config-name experiment {shlex.join(overrides)}"
    imported = import_text(command, "<command>", folder)
    if not imported.complete:
        return False
    (folder / "imported.toml").write_text(imported.text)
    ours, findings = our_tree(folder / "imported.toml")
    ours.pop("format", None)
    # A reference without a value is one in both trees.
    assert not [found for found in findings if not found.code.startswith("PLM20")], imported.text
    assert differences(ours, theirs) == [], (command, imported.text)
    return True


@given(st.lists(OVERRIDES, min_size=1, max_size=4))
@settings(max_examples=120, deadline=None, derandomize=True)
def test_random_command_lines_compose_alike(folder, overrides):
    check(folder, overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        ["env=code", "model=large", "run.steps=7"],
        ["env=code", "env.limit=9", "+env.more=[1,a]"],
        ["+extra=more", "extra.x=2"],
        ["+extra@run.more=more"],
        ["run={steps: 2}", "other=${run.steps}"],
        ["run.name='a=b, c'", "run.list=[]"],
    ],
)
def test_documented_forms_compose_alike(folder, overrides):
    assert check(folder, overrides)
