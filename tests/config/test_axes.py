"""Swept values as they are read: ranges, the form in `[sweep.space]`, what an override fixes."""

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pettingllms.compose.special_values import replace_special
from pettingllms.compose.tree import get
from pettingllms.config.axes import Axis
from pettingllms.config.json_schema import attribute_docstrings
from pettingllms.config.load import choose, draft_experiment
from pettingllms.config.ranges import MAX_LISTED, Range
from pettingllms.config.sweep import AXES, METRICS, PRUNER_OPTIONS, PrunerConfig
from pettingllms.config.typed import type_cell

ROOT = Path(__file__).parents[2]
TWO_AGENTS = ROOT / "tests/cases/valid/two_agents.toml"
TEXT = TWO_AGENTS.read_text()
RANK, FREQUENCY = ("lora_rank",), ("training", "val_freq")
LR = "models.model_1.ppo_trainer_config.actor_rollout_ref.actor.optim.lr"
CHOICE_FORM = 'write { sweep = "choice", values = […], default = … }'
INT = '{ sweep = "int", low = 5, high = 6, default = 5 }'
DIGITS = '{ sweep = "choice", values = [{ digits = 1 }], default = { digits = 1 } }'


def draft(*overrides, text=TEXT, rank=None, end=""):
    text = text if rank is None else text.replace("lora_rank = 16", f"lora_rank = {rank}")
    return draft_experiment(Path("x.toml"), overrides, text=f"{text}\n{end}")


def axis(table):
    found = draft(rank=table)
    assert found.findings == []
    return found.axes[0]


def faults(found):
    return [(one.code, one.path, one.help) for one in found.findings]


def test_a_choice_keeps_what_tests_and_tools_build_by_hand():
    assert axis('{ sweep = "choice", values = [8, 16], default = 8 }') == Axis(RANK, (8, 16), 8)
    assert Axis(RANK, (8, 16), 8).home == RANK


@pytest.mark.parametrize(
    ("table", "values"),
    [
        ('"int", low = 8, high = 11, default = 8', (8, 9, 10, 11)),
        ('"int", low = 8, high = 32, step = 8, default = 16', (8, 16, 24, 32)),
        ('"int", low = 8, high = 30, step = 8, default = 16', (8, 16, 24)),
        ('"int", low = 1, high = 100, points = 3, default = 1', (1, 51, 100)),
        ('"int", low = 8, high = 64, log = true, points = 4, default = 8', (8, 16, 32, 64)),
        ('"int", low = 8, high = 64, log = true, default = 8', None),
        ('"float", low = 0, high = 1, default = 0.5', None),
        ('"float", low = 0, high = 0.5, step = 0.1, default = 0', (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)),
        ('"float", low = 0, high = 1, points = 5, default = 0', (0.0, 0.25, 0.5, 0.75, 1.0)),
        ('"float", low = 1e-7, high = 1e-5, log = true, points = 3, default = 1e-6', (1e-7, 1e-6, 1e-5)),
        ('"float", low = 1e-7, high = 1e-5, log = true, default = 1e-6', None),
    ],
)
def test_the_values_of_a_range(table, values):
    found = axis(f"{{ sweep = {table} }}")
    assert found.values == values
    assert found.count == (None if values is None else len(values))
    kind = int if found.kind == "int" else float
    assert all(type(value) is kind for value in (*(values or ()), found.default))


def test_a_range_with_many_values_is_counted_and_not_listed():
    found = axis('{ sweep = "int", low = 1, high = 1000000000000, default = 8 }')
    assert (found.values, found.count) == (None, 10**12)
    found = axis('{ sweep = "float", low = 0, high = 1e308, step = 5e-324, default = 0 }')
    assert found.count > 10**600


ranges = st.builds(
    Range,
    low=st.integers(-50, 50),
    high=st.integers(-50, 50),
    step=st.one_of(st.none(), st.integers(-1, 9)),
    log=st.booleans(),
    points=st.one_of(st.none(), st.integers(0, 30)),
    whole=st.just(True),
) | st.builds(
    Range,
    low=st.integers(-50, 50).map(lambda number: number / 10),
    high=st.integers(-50, 50).map(lambda number: number / 10),
    step=st.one_of(st.none(), st.integers(-1, 9).map(lambda number: number / 10)),
    log=st.booleans(),
    points=st.one_of(st.none(), st.integers(0, 30)),
)


@settings(max_examples=400, deadline=None)
@given(ranges)
def test_a_sound_range_gives_ordered_values_between_its_ends(numbers):
    if numbers.fault() is not None:
        return
    values, count = numbers.values(), numbers.count()
    assert (values is None) is (count is None)
    if values is None:
        return
    assert len(values) == count <= MAX_LISTED
    assert list(values) == sorted(set(values))
    assert values[0] == numbers.low
    assert values[-1] == (numbers.high if numbers.missed() is None else numbers.missed())
    if numbers.points is None:
        assert all(numbers.holds(value) for value in values)
        # As Optuna counts them.
        assert count == round((values[-1] - values[0]) / (numbers.step or 1)) + 1


def test_optuna_has_the_same_values_for_steps():
    distributions = pytest.importorskip("optuna.distributions")
    numbers = Range(0.1, 1.0, 0.25)
    with pytest.warns(UserWarning, match="not divisible"):
        optunas = distributions.FloatDistribution(0.1, 1.0, step=0.25)
    assert optunas.high == pytest.approx(numbers.missed())
    for value in numbers.values():
        assert optunas._contains(optunas.to_internal_repr(value))


@pytest.mark.parametrize(
    ("table", "path", "help_text"),
    [
        ('{ sweep = "chioce", values = [8], default = 8 }', "sweep", 'did you mean "choice"?'),
        ('{ sweep = "int", lo = 1, high = 8, default = 8 }', "lo", "did you mean low?"),
        ('{ sweep = "int", low = 1, high = 8, deflaut = 8 }', "deflaut", "did you mean default?"),
        ('{ sweep = "int", low = 1, high = "8", default = 8 }', "high", "remove the quotes: 8"),
        ('{ sweep = "int", low = 1, high = 8.0, default = 8 }', "high", "write 8"),
        ('{ sweep = "choice", values = [], default = 8 }', "values", None),
        ('{ sweep = "choice", values = [8], default = 8, when = "" }', "when", None),
        (
            "{ sweep = 3, values = [8], default = 8 }",
            "sweep",
            CHOICE_FORM,
        ),
    ],
)
def test_a_fault_of_shape_stands_at_its_key(table, path, help_text):
    found = draft(rank=table)
    assert faults(found) == [("PLM401", (*RANK, path), help_text)]
    assert found.axes == ()
    assert found.faulty_axes == {RANK}


def test_the_second_form_takes_effect_where_it_points_to():
    end = f"""
    [sweep.space]
    lora_rank = {{ sweep = "choice", values = [8, 16], default = 8 }}
    "training.val_freq" = {{ sweep = "int", low = 5, high = 6, default = 5, when = "lora_rank > 8" }}
    "multi_agent_interaction.turn_order.1" = {{ sweep = "choice", values = ["a", "b"], default = "a" }}
    "{LR}" = {{ sweep = "choice", values = [0.5], default = 0.5 }}
    """
    found = draft(end=end)
    assert found.findings == []
    assert [one.path for one in found.axes] == [
        RANK,
        FREQUENCY,
        ("multi_agent_interaction", "turn_order", 1),
        tuple(LR.split(".")),
    ]
    assert found.axes[1].home == ("sweep", "space", "training.val_freq")
    assert found.axes[1].when == "lora_rank > 8"
    values = {one.path: one.default for one in found.axes} | {RANK: 16}
    typed = type_cell(choose(found, values))
    assert typed.findings == []
    assert (typed.config.lora_rank, typed.config.training.val_freq) == (16, 5)
    assert typed.config.multi_agent_interaction.turn_order == ["tool_generator", "a"]
    assert typed.config.models["model_1"].ppo_trainer_config.actor_rollout_ref.actor.optim.lr == 0.5
    assert "space" not in typed.stored["sweep"]
    line = found.tree.place((*FREQUENCY, "low")).span.line
    assert '"training.val_freq"' in found.text.split("\n")[line - 1]


def test_the_second_form_may_be_written_as_tables():
    end = '[sweep.space.training]\nval_freq = { sweep = "int", low = 5, high = 6, default = 5 }'
    (found,) = draft(end=end).axes
    assert (found.path, found.home) == (FREQUENCY, ("sweep", "space", "training", "val_freq"))


def test_an_overlay_sweeps_a_file_that_stays_as_it_is(tmp_path):
    overlay = tmp_path / "space.toml"
    overlay.write_text('[sweep.space]\nlora_rank = { sweep = "int", low = 8, high = 9, default = 8 }\n')
    found = draft_experiment(TWO_AGENTS, overlays=[overlay])
    assert [(one.path, one.values) for one in found.axes] == [(RANK, (8, 9))]
    assert found.tree.place(RANK).source.name == str(overlay)
    assert [write.layer.name for write in found.tree.history[RANK]] == [str(TWO_AGENTS), str(overlay)]


def test_the_second_form_looks_into_a_section_that_is_a_reference():
    text = TEXT.replace("[models.model_0]", '[models]\nmodel_1 = "${models.model_0}"\n\n[models.model_0]')
    end = '[sweep.space]\n"models.model_1.name" = { sweep = "choice", values = ["a"], default = "a" }'
    found = draft(text=text, end=end)
    assert found.findings == []
    assert get(found.tree.data, ("models", "model_1", "path")) == "${base_models.policy_0.path}"
    assert get(choose(found, {("models", "model_1", "name"): "a"}).data, ("models", "model_1", "name")) == "a"


@pytest.mark.parametrize(
    ("key", "table", "code"),
    [
        ("training.val_frq", INT, "PLM003"),
        ("lora_rank", INT, "PLM414"),
        ("sweep.seed", INT, "PLM401"),
        ("a..b", INT, "PLM401"),
        ("training.seed.x", INT, "PLM003"),
        ("training.seed", "5", "PLM401"),
        ("training.seed", INT.replace("sweep", "swep"), "PLM401"),
        ("multi_agent_interaction.turn_order.7", INT, "PLM401"),
        ("models.model_0.path.x", INT, "PLM003"),
        ("env.options.digits.x", INT, "PLM401"),
    ],
)
def test_a_fault_of_the_second_form_stands_at_its_key(key, table, code):
    swept = '{ sweep = "choice", values = [8, 16], default = 8 }'
    found = draft(rank=swept, end=f'[sweep.space]\n"{key}" = {table}')
    assert [(one.code, one.path) for one in found.findings] == [(code, ("sweep", "space", key))]
    assert [one.path for one in found.axes] == [RANK]
    assert type_cell(choose(found, {RANK: 8}), found.faulty_axes).config is not None


def test_an_axis_inside_of_another_is_found_from_both_sides():
    entries = [f'"env.options" = {DIGITS}', f'"env.options.digits" = {INT}']
    for end in (entries, entries[::-1]):
        assert [one.code for one in draft(end="\n".join(["[sweep.space]", *end])).findings] == ["PLM414"]


def test_an_override_on_or_above_an_axis_fixes_it():
    swept = '{ sweep = "choice", values = [8, 16], default = 8 }'
    end = f'[sweep.space]\n"training.val_freq" = {INT}'
    found = draft("lora_rank=32", "training.val_freq=7", rank=swept, end=end)
    assert (found.axes, found.findings) == ((), [])
    assert set(found.fixed) == {RANK, FREQUENCY}
    assert get(found.tree.data, FREQUENCY) == 7
    found = draft("training:={val_freq = 3}", rank=swept, end=end)
    assert found.fixed == (FREQUENCY,)
    assert [one.path for one in found.axes] == [RANK]
    assert draft(rank=swept, end=end).fixed == ()
    # An override that sweeps fixes nothing, and one on the entry itself changes the axis.
    assert draft(f"lora_rank={swept}").fixed == ()
    entry = 'sweep.space."training.val_freq"={sweep="int", low=1, high=2, default=1}'
    assert draft(entry, end=end).axes[0].values == (1, 2)


def test_an_override_inside_of_an_axis_is_refused():
    found = draft("env.options.digits=2", end=f'[sweep.space]\n"env.options" = {DIGITS}')
    assert [(one.code, one.place.source.name) for one in found.findings] == [("PLM009", "<command line>")]


def test_every_metric_of_the_documentation_is_known():
    table = (ROOT / "docs/records.md").read_text().split("## Metrics")[1].split("## Samples")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    documented = {name for row in rows for name in re.findall(r"`([^`]+)`", row)} - {"step"}
    assert documented == set(METRICS)


def test_every_option_of_a_pruner_belongs_to_a_kind():
    options = {option for options in PRUNER_OPTIONS.values() for option in options}
    assert options == set(PrunerConfig.model_fields) - {"kind"}


@pytest.mark.parametrize("model", AXES.values(), ids=AXES)
def test_every_key_of_an_axis_has_a_docstring(model):
    assert set(attribute_docstrings(model)) == set(model.model_fields)


def test_what_import_writes_are_axes():
    for path in sorted((ROOT / "tests/data/foreign").glob("*.toml")):
        _, tables, malformed = replace_special(tomllib.loads(path.read_text()))
        assert malformed == []
        for table in tables.values():
            AXES[table["sweep"]].model_validate(table)
