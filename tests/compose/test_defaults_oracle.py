"""Random `defaults` lists with choices at run time: wherever Hydra accepts them, we give the same tree."""

import json
import tempfile
from pathlib import Path

import pytest
from hydra.errors import HydraException
from hydra_reference import AnyKey, differences, hydra_config, without_null_tables
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pettingllms.compose.compose import compose

REFUSED = object()
SCALARS = st.sampled_from([None, True, False, 0, 7, 0.5, 1e-6, "", "x", "y z", "7"])

FILES = ["main", "other", "db/a", "db/b", "net/a", "net/b", "db/deep/a", "db/deep/b"]
CONTENTS = st.dictionaries(
    st.sampled_from(["x", "y", "z", "sect"]),
    SCALARS | st.lists(SCALARS, max_size=2),
    max_size=3,
).map(lambda found: {**found, **({"sect": {"p": found["sect"], "q": [1]}} if "sect" in found else {})})
HEADERS = st.sampled_from([None, None, None, "_global_", "foo", "foo.bar", "_global_.sect"])
PACKAGES = st.sampled_from([None, None, None, "pkg", "pkg.sub", "sect", "_global_", "_here_", "_global_.top"])


def group_of(file):
    return file.rpartition("/")[0]


@st.composite
def entries(draw, number):
    """One entry in file `number`; it includes later files only, so that there is no circle."""
    own = group_of(FILES[number])
    target = draw(st.sampled_from(FILES[number + 1 :]))
    group, _, name = target.rpartition("/")
    package = draw(PACKAGES)
    below = not own or group == own or group.startswith(f"{own}/")
    relative = group[len(own) :].lstrip("/") if below else None
    written = f"/{group}" if relative is None or (group and draw(st.booleans())) else relative
    if own == "db" and group == "net" and package is not None:
        written = draw(st.sampled_from([written, "../net"]))
    at = f"@{package}" if package is not None else ""
    if not written or draw(st.integers(0, 4)) == 0:
        return f"{written}/{name}{at}" if written else f"{name}{at}"
    options = [name, name, name, "a", "b", ["a", "b"], ["b"], None]
    word = draw(st.sampled_from(["", "", "", "", "optional ", "override "]))
    option = draw(st.sampled_from([*options, "nothing"] if word == "optional " else options))
    return {f"{word}{written}{at}": option}


@st.composite
def folders(draw):
    """Files by name: the header, the defaults list or None, and the content."""
    found = {}
    for number, file in enumerate(FILES):
        listed = None
        if number < len(FILES) - 1 and (number == 0 or draw(st.integers(0, 2)) == 0):
            listed = draw(st.lists(entries(number), max_size=3))
            overrides = [
                entry for entry in listed if isinstance(entry, dict) and "override" in next(iter(entry))
            ]
            listed = [entry for entry in listed if entry not in overrides]
            # With nothing but overrides Hydra may lose the file's own content: then `_self_` is written.
            lost = not listed and bool(overrides)
            where = draw(st.integers(0, len(listed)) if lost else st.none() | st.integers(0, len(listed)))
            if where is not None:
                listed.insert(where, "_self_")
            listed += overrides
        header = draw(HEADERS) if number else None
        found[file] = (header, listed, draw(CONTENTS))
    return found


RUN_TIME = st.lists(
    st.sampled_from(
        [
            *(
                "db=b",
                "db=a",
                "net=b",
                "+net=a",
                "+db=b",
                "~db",
                "~net=a",
                "db@pkg=b",
                "net@pkg=a",
                "+net@top=b",
            ),
            *(
                "db/deep=b",
                "+db/deep=a",
                "x=9",
                "+new=1",
                "db.x=5",
                "sect.p=7",
                "++sect.q=1",
                "++pkg.x=null",
                "db=[b,a]",
            ),
        ]
    ),
    max_size=2,
    unique=True,
)


def toml_value(value):
    """A value as TOML on one line; texts and numbers are written as in JSON."""
    if value is None:
        return "{ null = true }"
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}" = {toml_value(item)}' for key, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml_value, value))}]"
    return json.dumps(value)


def write_folder(folder, files, suffixes):
    for (file, (header, listed, content)), suffix in zip(files.items(), suffixes, strict=True):
        data = {**({"defaults": listed} if listed is not None else {}), **content}
        text = f"# @package {header}\n" if header else ""
        if suffix == ".toml":
            text += "".join(f"{key} = {toml_value(value)}\n" for key, value in data.items())
        else:
            text += "".join(f"{key}: {json.dumps(value)}\n" for key, value in data.items())
        path = (folder / file).with_suffix(suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def composed_by_hydra(folder, overrides):
    try:
        return OmegaConf.to_container(hydra_config(folder, "main", overrides))
    except (HydraException, OmegaConfBaseException, ValueError, RecursionError):
        # Hydra does not look for circles, nor check what an override of a group holds.
        return REFUSED


def composed_by_us(path, overrides):
    composition = compose(path, overrides, schema=AnyKey())
    findings = [finding.message for finding in composition.findings]
    return without_null_tables(composition.tree.data), findings


def test_random_defaults_lists_agree_with_hydra():
    both = []

    @settings(deadline=None, derandomize=True, max_examples=150)
    @given(folders(), RUN_TIME, st.lists(st.sampled_from([".yaml", ".toml"]), min_size=8, max_size=8))
    def check(files, overrides, suffixes):
        with tempfile.TemporaryDirectory() as name:
            as_yaml, mixed = Path(name) / "yaml", Path(name) / "mixed"
            write_folder(as_yaml, files, [".yaml"] * len(FILES))
            write_folder(mixed, files, suffixes)
            theirs = composed_by_hydra(as_yaml, overrides)
            if theirs is not REFUSED:
                both.append(overrides)
                for main in (as_yaml / "main.yaml", next(mixed.glob("main.*"))):
                    ours, findings = composed_by_us(main, overrides)
                    assert findings == []
                    assert differences(ours, theirs) == []

    check()
    assert len(both) > 50


A, B = {"x": 1}, {"y": 2}


@pytest.mark.parametrize(
    ("files", "overrides", "result"),
    [
        ({"main": [{"net": "a"}], "net/a": ("foo", A)}, ["~net"], {}),
        ({"main": [{"net": "a"}], "net/a": ("foo", A)}, ["~net=a"], {}),
        ({"main": [{"net": "a"}, "_self_"], "net/b": (None, B)}, ["net=b"], {"net": {"y": 2}}),
        ({"main": [{"net@p": ["a", "b"]}, {"net@p": "b"}], "net/b": (None, B)}, [], {"p": {"y": 2}}),
        ({"main": [{"net": "a"}, {"override net": "b"}], "net/b": (None, B)}, [], {"net": {"y": 2}}),
        ({"main": [{"net": None}, {"net": ["b"]}], "net/b": (None, B)}, [], {"net": {"y": 2}}),
        ({"main": [{"override net": "b"}], "net/b": (None, B)}, [], REFUSED),
        ({"main": [{"net": "a"}, {"net": "b"}]}, [], REFUSED),
        ({"main": [{"net": "a"}]}, ["~net=b"], REFUSED),
        ({"main": [{"net": "a"}]}, ["net@p=b"], REFUSED),
        ({"main": [{"net": "c"}]}, [], REFUSED),
        ({"main": [{"optional net": "c"}]}, [], {}),
        ({"main": [{"net": "???"}]}, [], REFUSED),
    ],
)
def test_a_corner_of_defaults_lists_is_as_in_hydra(files, overrides, result, tmp_path):
    main = (None, files["main"], {})
    parts = {name: (files[name][0], None, files[name][1]) for name in files if name != "main"}
    every = {name: (None, None, {}) for name in FILES} | {"main": main} | parts
    write_folder(tmp_path, every, [".yaml"] * len(FILES))
    theirs = composed_by_hydra(tmp_path, overrides)
    assert theirs is REFUSED if result is REFUSED else theirs == result
    ours, findings = composed_by_us(tmp_path / "main.yaml", overrides)
    if result is REFUSED:
        assert findings
    else:
        assert (ours, findings) == (result, [])
