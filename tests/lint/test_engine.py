"""The linter as other parts use it."""

import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.engine import check_experiment, checked_cells

TWO_AGENTS = Path(__file__).parents[1] / "cases/valid/two_agents.toml"
TEXT = TWO_AGENTS.read_text()
SWEEP = 'training.train_batch_size={sweep = "choice", values = [4, 8], default = 4}'


def check(text, *overrides):
    return check_experiment(Path("x.toml"), overrides, text=text)


def codes(report):
    return [found.code for found in report.diagnostics]


def test_a_file_without_axes_has_one_cell():
    report = check_experiment(TWO_AGENTS)
    (cell,) = checked_cells(report)
    assert (cell.number, cell.values) == (0, {})
    assert cell.config == report.experiment.config
    assert not report.refused
    assert report.exit_code(Severity.INFO) == 0


def test_every_cell_is_typed_with_its_own_values():
    report = check(TEXT, SWEEP, "training.save_freq=${training.train_batch_size}")
    assert [cell.config.training.train_batch_size for cell in checked_cells(report)] == [4, 8]
    assert [cell.config.training.save_freq for cell in checked_cells(report)] == [4, 8]
    assert [cell.stored["training"]["train_batch_size"] for cell in checked_cells(report)] == [4, 8]
    assert report.experiment.config.training.train_batch_size == 4


def test_a_table_can_be_swept():
    text = TEXT.replace(
        "options.digits = 2",
        'options = { sweep = "choice", values = [{digits = 1}, {digits = 9}], default = {digits = 1} }',
    )
    (found,) = check(text).diagnostics
    assert found.code == "PLM503"
    assert found.path == "env.options.digits"
    assert text.split("\n")[found.line - 1][found.column - 1 :].startswith("9}")
    assert "in 1 of 2 cells: env.options={ digits = 9 }" in found.message


def test_a_fault_of_one_cell_of_two_axes_names_both_values():
    two = 'env.max_turns={sweep = "choice", values = [2, 4], default = 2}'
    report = check(TEXT, SWEEP.replace("[4, 8]", "[4, 0]"), two)
    (found,) = report.diagnostics
    assert "(in 2 of 4 cells: training.train_batch_size=0)" in found.message
    assert report.experiment is None
    assert len(report.cells.impossible) == 2


def test_all_faults_are_found_at_once():
    text = TEXT.replace("val_freq = 10", "val_frq = 10").replace("num_agents = 2", "num_agents = 3")
    text = text.replace("max_turns = 4", "max_turns = 3")
    text = text.replace('"${base_models.policy_0.path}"', '"${nowhere}"')
    assert set(codes(check(text))) == {"PLM003", "PLM102", "PLM201", "PLM105"}


def test_a_path_of_the_machine_is_checked(tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    text = TEXT.replace("builtin:smollm2-135m-instruct", str(model))
    assert set(codes(check(text))) == {"PLM205"}
    (model / "config.json").write_text('{"max_position_embeddings": 700}')
    assert set(codes(check(text))) == {"PLM305"}
    (model / "config.json").write_text('{"max_position_embeddings": 768}')
    assert codes(check(text)) == []


@pytest.mark.parametrize(
    ("path", "code", "exit_code"),
    [("no/such.toml", "PLM002", 2), (".", "PLM002", 2)],
)
def test_an_unreadable_file_is_a_fault_of_use(path, code, exit_code):
    report = check_experiment(Path(path))
    assert codes(report) == [code]
    assert report.exit_code(Severity.WARNING) == exit_code


def test_a_file_without_permission_is_a_diagnostic(tmp_path, monkeypatch):
    path = tmp_path / "x.toml"
    path.write_text(TEXT)
    path.chmod(stat.S_IWUSR)

    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    (found,) = check_experiment(path).diagnostics
    assert "Permission denied" in found.message


def test_exit_codes_follow_the_least_severity():
    report = check(TEXT, "env.max_turns=3")
    assert codes(report) == ["PLM105"]
    assert [report.exit_code(severity) for severity in Severity] == [0, 1, 1]
    assert report.experiment is not None


def test_a_guide_name_that_is_unknown_is_said_in_the_guides_words():
    assert "not in ENV_CLASS_MAPPING" in check(TEXT, "env.name=maths").diagnostics[0].message
    text = TEXT.replace("tool_generator", "tool_gen")
    assert any("not in AGENT_CLASS_MAPPING" in found.message for found in check(text).diagnostics)
    agent = "agent_policy_configs.agent_configs.agent_0.agent=tool_generator"
    text = TEXT.replace('"tool_generator"', '"a"')
    assert codes(check(text, agent)) == []


def test_a_dotted_key_below_a_text_is_explained():
    (found,) = check(TEXT, "env.name.x=1").diagnostics
    assert found.file == "<command line>"


LINES = TEXT.split("\n")
VALUES = st.sampled_from(
    [
        "1",
        "-1",
        "0",
        "1e400",
        "nan",
        "true",
        '""',
        '"x"',
        "[]",
        "[[1]]",
        "[{}]",
        "{}",
        "{a=1}",
        "1979-05-27",
        "07:32:00",
        "99999999999999999999",
        '"${env.name}"',
        '"${a"',
        '"${env}"',
        '"${models}"',
        '"${training.lora_rank}"',
        "{null=true}",
        "{sweep=1}",
        '{sweep="choice",values=[1,{null=true}],default=1}',
        '{sweep="int",low=1}',
    ]
) | st.text(max_size=8)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, len(LINES) - 1), VALUES), max_size=4))
def test_any_change_of_a_file_gives_diagnostics_only(changes):
    lines = list(LINES)
    for number, value in changes:
        key, equals, _ = lines[number].partition("=")
        lines[number] = f"{key}= {value}" if equals else value
    report = check("\n".join(lines))
    assert (report.experiment is None) == report.refused


PATHS = st.sampled_from(
    [
        "env",
        "env.options",
        "env.options.digits",
        "env.name",
        "models",
        "models.model_0",
        "base_models.policy_0",
        "training",
        "training.logger",
        "multi_agent_interaction.turn_order",
        "training.sample_temperature",
        "format",
        "lora_rank",
        "nope.nope",
        "agent_policy_configs.agent_configs.agent_0.examples",
        "sweep",
        "sweep.objectives",
    ]
)
SIGNS, OPERATORS = st.sampled_from(["", "+", "++", "~"]), st.sampled_from(["=", ":=", "+="])
OVERRIDES = st.tuples(SIGNS, PATHS, OPERATORS, VALUES).map("".join) | st.text(max_size=12)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(OVERRIDES, max_size=3))
def test_any_override_gives_diagnostics_only(overrides):
    report = check(TEXT, *overrides)
    assert (report.experiment is None) == report.refused
