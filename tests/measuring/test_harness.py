"""The harness that measures, and the table of what it measures."""

import ast
import json

import pytest

from benchmarks import __main__ as table
from benchmarks import harness
from benchmarks.harness import Side, measure, record


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(harness, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(table, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


def sides(above, below):
    """Sides that give these values one by one, and the calls as they come."""
    calls = []

    def giving(name, values):
        rest = iter(values)

        def run():
            calls.append(name)
            return next(rest)

        return Side(name, run)

    return giving("A", above), giving("B", below), calls


def test_sides_alternate_and_warm_ups_do_not_count():
    one, other, calls = sides([9.0, 1.0, 3.0], [9.0, 2.0, 2.0])
    found = measure("trial", "A / B", one, other, unit="s", runs=2)
    assert calls == ["A", "B"] * 3
    assert found.numerator.values == (1.0, 3.0) and found.denominator.values == (2.0, 2.0)


def test_the_ratio_is_that_of_medians_and_its_limits_those_of_pairs():
    one, other, _ = sides([1.0, 6.0, 4.0], [2.0, 4.0, 16.0])
    found = measure("trial", "A / B", one, other, unit="s", runs=3, warmups=0)
    assert found.ratio == 1.0  # 4 / 4
    assert (min(found.pairs), max(found.pairs)) == (0.25, 1.5)


@pytest.mark.parametrize(
    ("bounds", "met"),
    [
        ({}, None),
        ({"at_most": 0.5}, True),
        ({"at_most": 0.49}, False),
        ({"at_least": 0.5}, True),
        ({"at_least": 0.51}, False),
        ({"at_least": 0.4, "at_most": 0.45}, False),
    ],
)
def test_a_target_is_met_on_its_border(bounds, met, capsys):
    assert record("trial", "A / B", numerator=("A", 1), denominator=("B", 2), unit="x", **bounds).met is met
    assert ("MISSED" in capsys.readouterr().out) == (met is False)


def test_results_are_written_with_all_values_and_where_they_were_taken(results, capsys):
    one, other, _ = sides([1.0, 3.0], [4.0, 4.0])
    measure(
        "trial-part", "A / B", one, other, unit="s", runs=2, warmups=0, at_most=0.5, notes={"tasks": [1, 2]}
    )
    found = json.loads((results / "trial-part.json").read_text())
    assert found["numerator"] == {"label": "A", "min": 1.0, "median": 2.0, "max": 3.0, "values": [1.0, 3.0]}
    assert found["ratio"] == {"of_medians": 0.5, "min": 0.25, "max": 0.75}
    assert found["target"] == {"at_most": 0.5, "at_least": None} and found["met"] is True
    assert found["notes"] == {"tasks": [1, 2]}
    assert {"cpu", "cores", "threads", "commit", "python", "pettingllms"} <= found["conditions"].keys()
    out = capsys.readouterr().out
    assert "trial-part: A / B (2 alternating runs)" in out and "at most 0.5: met" in out


def test_a_trial_leaves_no_results(results):
    record("trial", "A / B", numerator=("A", 1), denominator=("B", 2), unit="x", save=False)
    assert not results.exists()


def test_the_table_holds_every_script_and_each_says_what_it_compares():
    folder = table.PAGE.parents[1] / "benchmarks"
    texts = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.py")}
    named = {name for name, text in texts.items() if "command_line(__doc__" in text}
    assert named - {"harness"} == set(table.SCRIPTS)  # the harness shows how one looks
    for name in table.SCRIPTS:
        assert len(ast.get_docstring(ast.parse(texts[name])) or "") > 100, name


def test_an_unknown_script_is_refused(capsys):
    with pytest.raises(SystemExit):
        table.main(["lint_hot"])
    assert "no script lint_hot" in capsys.readouterr().err


def test_the_summary_shows_every_figure_in_the_order_of_the_scripts(capsys):
    for figure in ("update_speed-32", "credit", "update_speed-8"):
        record(figure, "of it", numerator=("A", 1), denominator=("B", 2), unit="x", at_most=0.4)
    capsys.readouterr()
    assert table.main(["--summary"]) == 0
    head, *lines = capsys.readouterr().out.strip().splitlines()
    assert [line.split()[0] for line in lines] == ["update_speed-8", "update_speed-32", "credit"]
    assert head.split()[:2] == ["figure", "numerator"] and "A 1 x" in lines[0] and "MISSED" in lines[0]


def page(figures="old\n", split="old\n"):
    marked = [
        f"<!-- begin {n} -->\n{t}<!-- end {n} -->\n" for n, t in (("figures", figures), ("split", split))
    ]
    return f"before\n{marked[0]}between\n{marked[1]}after\n"


def test_the_tables_of_the_page_are_exchanged_and_nothing_else(results):
    assert table.with_results(page()) == page()
    record("credit", "A over B", numerator=("A", 1), denominator=("B", 2), unit="x", at_least=0.5)
    parts = [{"phase": "train", "part": name, "seconds": s} for name, s in (("loss", 0.5), ("backward", 1.5))]
    harness.write("step_profile", {"parts": parts, "step": 2.0})
    figures = (
        "| figure | numerator | denominator | ratio | target |\n|---|---|---|---|---|\n"
        "| A over B | A 1 x | B 2 x | 0.5 | ≥ 0.5 |\n"
    )
    split = (
        "| phase | part | seconds | share |\n|---|---|---|---|\n"
        "| train | backward | 1.500 | 75.0% |\n| train | loss | 0.500 | 25.0% |\n"
        "| step | all of it | 2.000 | 100.0% |\n"
    )
    assert table.with_results(page()) == page(figures, split) == table.with_results(page(figures, split))


def test_the_page_shows_the_results_that_are_kept(monkeypatch):
    monkeypatch.setattr(table, "RESULTS", table.PAGE.parents[1] / "benchmarks" / "results")
    text = table.PAGE.read_text(encoding="utf-8")
    assert all(text.count(f"<!-- {mark} -->\n") == 1 for mark in ("begin figures", "end figures"))
    assert all(text.count(f"<!-- {mark} -->\n") == 1 for mark in ("begin split", "end split"))
    assert table.with_results(text) == text, "python -m benchmarks --markdown writes it anew"
