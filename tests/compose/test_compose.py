"""Composition: which files, in which order, at which place of the tree; and who wrote what."""

from pathlib import Path

import pytest

from pettingllms.compose.compose import compose
from pettingllms.config.fields import ExperimentSchema
from pettingllms.documents.source import DocumentError


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Write files below a folder of their own, which is also the current one."""
    monkeypatch.chdir(tmp_path)

    def write(**texts):
        for name, text in texts.items():
            path = tmp_path / name.replace("__", "/").replace("_toml", ".toml").replace("_yaml", ".yaml")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


def composed(path, *overrides, overlays=()):
    return compose(Path(path), overrides, schema=ExperimentSchema(), overlays=overlays)


def data_of(path, *overrides, overlays=()):
    found = composed(path, *overrides, overlays=overlays)
    assert found.findings == []
    return found.tree.data


def messages(path, *overrides):
    return [(finding.code, finding.message) for finding in composed(path, *overrides).findings]


def test_later_entries_win_and_self_stands_where_it_is_written(files):
    files(
        a_toml='lora_rank = 1\nlora_alpha = 1\n[env]\nname = "a"',
        b_yaml="lora_rank: 2\nenv: {dataset: b}\n",
        first_toml='defaults = ["_self_", "a", "b"]\nlora_rank = 3\nlora_alpha = 3\n',
        last_toml='defaults = ["a", "b"]\nlora_rank = 3\n',
    )
    assert data_of("first.toml") == {"lora_rank": 2, "lora_alpha": 1, "env": {"name": "a", "dataset": "b"}}
    assert data_of("last.toml") == {"lora_rank": 3, "lora_alpha": 1, "env": {"name": "a", "dataset": "b"}}


def test_lists_and_special_values_replace_where_sections_merge(files):
    files(
        a_toml="""
            lora_rank = { sweep = "choice", values = [8, 16], default = 8 }
            [training]
            logger = ["console"]
            epoch_size = { null = true }
            """,
        b_yaml="defaults: [a, _self_]\nlora_rank: {sweep: choice, values: [4], default: 4}\n"
        "training: {logger: [wandb], seed: 1}\n",
    )
    data = data_of("b.yaml")
    assert data["lora_rank"] == {"sweep": "choice", "values": [4], "default": 4}
    assert data["training"] == {"logger": ["wandb"], "epoch_size": None, "seed": 1}


@pytest.mark.parametrize("text", ["env:\n  name: math_env\n", "name: math_env\n"])
def test_a_group_file_with_or_without_its_section_lands_in_the_section(files, text):
    files(env__math_yaml=text, e_yaml="defaults:\n  - env: math\n  - _self_\n")
    assert data_of("e.yaml") == {"env": {"name": "math_env"}}


def test_a_file_of_sections_is_merged_beside_its_group_and_says_so(files):
    files(
        model__small_yaml="base_models: {policy_0: {path: p}}\n",
        base__resource_toml="[resource]\nnnodes = 1\n",
        math__e_toml='defaults = [{ "/model" = "small" }, "../base/resource"]\n',
    )
    (files().joinpath("math/model")).mkdir()
    (files().joinpath("math/model/small.yaml")).write_text("base_models: {policy_0: {path: p}}\n")
    found = composed("math/e.toml")
    assert found.tree.data == {"base_models": {"policy_0": {"path": "p"}}, "resource": {"nnodes": 1}}
    (write,) = found.tree.history["resource", "nnodes"]
    assert write.layer.note == "merged at the root, as it holds resource itself"


def test_unknown_keys_of_a_group_stay_below_it_as_in_hydra(files):
    files(db__mysql_yaml="port: 3306\n", e_yaml="defaults: [{db: mysql}]\n")
    assert data_of("e.yaml") == {"db": {"port": 3306}}


@pytest.mark.parametrize(
    ("head", "entry", "expected"),
    [
        ("", '{ "g@models.model_0" = "f" }', {"models": {"model_0": {"x": 1}}}),
        ("# @package _global_\n", '{ g = "f" }', {"x": 1}),
        ("# a comment\n# @package a.b\n", '"g/f"', {"a": {"b": {"x": 1}}}),
        ("# @package a.b\n", '{ "g@_global_" = "f" }', {"x": 1}),
        ("", '{ "g@_here_" = "f" }', {"x": 1}),
        ("", '{ "g@_group_.more" = "f" }', {"g": {"more": {"x": 1}}}),
        ("", '{ g = ["f", "h"] }', {"g": {"x": 1, "y": 2}}),
        ("", '{ g = "f.yaml" }', {"g": {"x": 1}}),
        ("", '{ "optional g" = "nothing" }', {}),
        ("", "{ g = { null = true } }", {}),
    ],
)
def test_packages(files, head, entry, expected):
    files(g__f_yaml=f"{head}x: 1\n", g__h_toml="y = 2\n", e_toml=f"defaults = [{entry}]\n")
    assert data_of("e.toml") == expected


def test_a_package_is_relative_to_that_of_the_including_file(files):
    files(
        g__inner__leaf_yaml="x: 1\n",
        g__f_yaml="defaults: [{inner@part: leaf}]\n",
        e_yaml="defaults: [{g@models.model_0: f}]\n",
    )
    assert data_of("e.yaml") == {"models": {"model_0": {"part": {"x": 1}}}}


def test_names_are_found_beside_the_file_then_here_then_among_the_presets(files, tmp_path):
    files(
        sub__e_toml='defaults = ["near"]\n',
        sub__near_yaml="lora_rank: 1\n",
        near_toml="lora_rank = 2\n",
        sub__here_toml='defaults = ["far"]\n',
        far_toml="lora_rank = 3\n",
        sub__shipped_toml='defaults = [{ "../ppo_trainer@models.model_0.ppo_trainer_config" = "eval" }]\n',
    )
    assert data_of("sub/e.toml") == {"lora_rank": 1}
    assert data_of("sub/here.toml") == {"lora_rank": 3}
    found = composed("sub/shipped.toml")
    assert "actor_rollout_ref" in found.tree.data["models"]["model_0"]["ppo_trainer_config"]
    assert [finding.code for finding in found.findings] == ["PLM215"]


@pytest.mark.parametrize("name", ["math_L3_model", "math_L3_model.yaml", "math/math_L3_model.toml"])
def test_a_shipped_preset_is_found_by_name_with_either_suffix(files, name):
    files()
    assert data_of(name)["env"]["name"] == "math_env"


def test_a_name_that_stands_for_nothing_is_answered_with_the_nearest():
    with pytest.raises(DocumentError) as caught:
        composed("math_L3_modle")
    assert caught.value.finding.help == "did you mean math_L3_model?"


def test_groups_are_chosen_added_and_removed_at_run_time(files):
    files(
        env__math_yaml="env: {name: math_env, max_turns: 5}\n",
        env__code_yaml="env: {name: code_env}\n",
        model__a_yaml="base_models: {policy_0: {path: a}}\n",
        model__b_toml='[base_models.policy_0]\npath = "b"\n',
        extra__phase_toml="[training]\nseed = 3\n",
        e_yaml="defaults: [{env: math}, {model: a}, _self_]\n",
    )
    assert data_of("e.yaml") == {
        "env": {"name": "math_env", "max_turns": 5},
        "base_models": {"policy_0": {"path": "a"}},
    }
    assert data_of("e.yaml", "env=code", "model=b", "env.max_turns=7") == {
        "env": {"name": "code_env", "max_turns": 7},
        "base_models": {"policy_0": {"path": "b"}},
    }
    assert data_of("e.yaml", "~model", "+extra=phase") == {
        "env": {"name": "math_env", "max_turns": 5},
        "training": {"seed": 3},
    }


def test_a_mounted_group_is_chosen_by_group_and_package(files):
    files(
        t__small_yaml="x: 1\n",
        t__big_yaml="x: 2\n",
        e_yaml="defaults: [{t@models.model_0: small}, {t@models.model_1: small}]\n",
    )
    data = data_of("e.yaml", "t@models.model_1=big")
    assert data == {"models": {"model_0": {"x": 1}, "model_1": {"x": 2}}}
    ((code, message),) = messages("e.yaml", "t@models.model_2=big")
    assert code == "PLM009"
    assert message == "no defaults list has the group t@models.model_2"


def test_a_choice_without_such_a_file_lists_those_there_are(files):
    files(env__math_yaml="env: {}\n", env__code_yaml="env: {}\n", e_yaml="defaults: [{env: math}]\n")
    (finding,) = composed("e.yaml", "env=cod").findings
    assert finding.code == "PLM211"
    assert finding.place.source.name == "<command line>"
    assert finding.help == "did you mean env/code?"


def test_a_section_is_never_replaced_by_the_name_of_a_group_that_is_not_there(files):
    files(e_yaml="env: {name: math_env}\n")
    (finding,) = composed("e.yaml", "env=code").findings
    assert finding.code == "PLM009"
    assert "would replace it by one value" in finding.message
    assert "no defaults list has a config group env" in finding.help
    files(env__code_yaml="env: {name: code_env}\n")
    (finding,) = composed("e.yaml", "env=code").findings
    assert "+env=code adds the file" in finding.help
    assert data_of("e.yaml", "+env=code") == {"env": {"name": "code_env"}}


def test_a_misspelt_or_repeated_group_is_answered_with_the_choice_meant(files):
    files(model__a_yaml="{}\n", model__b_yaml="{}\n", e_yaml="defaults: [{model: a}]\nlora_rank: 1\n")
    assert composed("e.yaml", "modle=b").findings[0].help == "did you mean model=…?"
    assert composed("e.yaml", "+model=b").findings[0].help == "write model=b to change the choice"


def test_a_deletion_with_a_value_or_choice_is_for_that_one_only(files):
    files(env__a_yaml="env: {name: a}\n", e_yaml="defaults: [{env: a}]\nlora_rank: 1\n")
    assert data_of("e.yaml", "~env=a", "~lora_rank=1") == {}
    (finding,) = composed("e.yaml", "~lora_rank=2").findings
    assert "has another value than 2" in finding.message


def test_an_override_entry_changes_a_choice_of_an_included_file(files):
    files(
        env__math_yaml="env: {name: math_env}\n",
        env__code_yaml="env: {name: code_env}\n",
        base_yaml="defaults: [{env: math}]\nlora_rank: 1\n",
        e_yaml="defaults: [base, _self_, {override env: code}]\n",
    )
    assert data_of("e.yaml") == {"env": {"name": "code_env"}, "lora_rank": 1}


def test_an_overlay_lies_over_the_file_and_under_the_overrides(files):
    files(
        e_toml="lora_rank = 1\nlora_alpha = 1\n",
        base_toml="lora_alpha = 4\n",
        over_yaml="defaults: [base]\nlora_rank: 2\n",
    )
    assert data_of("e.toml", overlays=[Path("over.yaml")]) == {"lora_rank": 2, "lora_alpha": 4}
    assert data_of("e.toml", "lora_rank=3", overlays=[Path("over.yaml")])["lora_rank"] == 3


def test_a_circle_and_a_missing_file_are_told_with_the_whole_chain(files):
    files(
        a_toml='defaults = ["b"]\n',
        b_yaml="defaults:\n- _self_\n- c\n",
        c_toml='defaults = ["a"]\n',
        e_toml='defaults = ["f"]\n',
        f_toml='defaults = ["nowhere"]\n',
    )
    ((code, message),) = messages("a.toml")
    assert code == "PLM212"
    assert message.startswith("files include each other in a circle: a.toml → b.yaml → c.toml → a.toml")
    (finding,) = composed("e.toml").findings
    assert finding.code == "PLM211"
    assert str(finding.place) == f"{Path('f.toml')}:1"
    assert finding.included == ("e.toml:1",)


def test_a_fault_in_an_included_file_is_reported_there(files):
    files(e_toml='defaults = ["f", "g"]\n', f_yaml="a: 1\nb: [\n", g_toml="x = \n")
    found = composed("e.toml")
    assert not found.complete
    assert [(Path(f.place.source.name).name, f.place.span.line) for f in found.findings] == [
        ("g.toml", 1),
        ("f.yaml", 3),
    ]


def test_a_reference_to_a_section_is_expanded_where_a_key_is_set_in_it(files):
    files(
        a_toml='[models.model_0]\nname = "m"\n[models]\nmodel_1 = "${models.model_0}"\n',
    )
    data = data_of("a.toml", "models.model_1.path=p")
    assert data["models"]["model_1"] == {"name": "m", "path": "p"}
    assert data["models"]["model_0"] == {"name": "m"}


def test_the_history_of_a_value_names_every_layer_lowest_first(files):
    files(
        g__f_yaml="# a fragment\nx: 1\ny: 1\n",
        e_toml='defaults = [\n  { "g@models.model_0" = "f" },\n]\n[models.model_0]\nx = 2\n',
        over_toml="[models.model_0]\nx = 3\n",
    )
    tree = composed("e.toml", "models.model_0.x=4", overlays=[Path("over.toml")]).tree
    told = [
        (Path(write.layer.name).name, write.place.span.line, write.value)
        for write in tree.history["models", "model_0", "x"]
    ]
    assert told == [("f.yaml", 2, 1), ("e.toml", 5, 2), ("over.toml", 2, 3), ("models.model_0.x=4", 1, 4)]
    lowest = tree.history["models", "model_0", "y"][0].layer
    assert lowest.package == ("models", "model_0")
    assert [str(place) for place in lowest.included] == ["e.toml:2"]


def explained(path, key, *overrides, overlays=()):
    """Each step of one leaf in short: where it was written, the value there, and whether it counts."""
    from pettingllms.compose.explain import explain, read_path
    from pettingllms.compose.untyped import read_untyped

    found = read_untyped(Path(path), overrides, schema=ExperimentSchema(), overlays=overlays)
    (told,) = explain(found.composition.tree, found.resolution, read_path(key), ExperimentSchema())
    steps = [step for step in told.steps if step.kind in ("file", "override", "deleted")]
    return told.value, [(str(step.place), step.value, step.wins) for step in steps]


def test_what_is_written_around_a_key_stands_in_its_order(files):
    files(
        b_yaml="env: {name: one}\nother: {name: oth}\n",
        t_yaml="defaults: [b, _self_]\nenv: ${other}\n",
        u_yaml="defaults: [t, _self_]\nenv: {name: three}\n",
        o_toml='env = "${other}"\n',
    )
    reference = "${other}"
    inherited = [("b.yaml:1", "one", False), ("t.yaml:2", reference, True)]
    assert explained("t.yaml", "env.name") == ("oth", inherited)
    value, steps = explained("u.yaml", "env.name")
    assert value == "three"
    assert steps[0] == ("b.yaml:1", "one", False)
    assert steps[-1] == ("u.yaml:2", "three", True)
    assert explained("b.yaml", "env.name", overlays=[Path("o.toml")]) == (
        "oth",
        [("b.yaml:1", "one", False), ("o.toml:1", reference, True)],
    )


def test_an_override_that_replaces_a_section_counts_and_takes_other_keys_away(files):
    files(e_toml='[env]\nname = "a"\nmax_turns = 4\n')
    replaced = 'env:={name="q"}'
    line = "<command line>:1"
    assert explained("e.toml", "env.name", replaced) == ("q", [("e.toml:2", "a", False), (line, "q", True)])
    assert explained("e.toml", "env.name", replaced, "env.name=r") == (
        "r",
        [("e.toml:2", "a", False), (line, "q", False), (line, "r", True)],
    )
    _, steps = explained("e.toml", "env.max_turns", replaced)
    assert steps == [("e.toml:3", 4, False), (line, None, False)]


def test_a_swept_section_is_explained_by_its_default(files):
    files(
        e_toml='[env]\nk = { sweep = "choice", values = [{ n = "a" }, { n = "b" }], default = { n = "b" } }\n'
    )
    assert explained("e.toml", "env.k.n") == ("b", [("e.toml:2", "b", True)])


def test_a_key_is_set_in_a_section_that_an_earlier_override_made_null(files):
    files(e_yaml="training: {val_freq: 2}\n")
    assert data_of("e.yaml", "training=null", "++training.seed=3") == {"training": {"seed": 3}}
