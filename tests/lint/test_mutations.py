"""Presets with one fault each: nearly every fault is found, at its line, by its rule."""

import time

import pytest

from benchmarks import lint_mutations, mutation_kinds
from pettingllms.documents.read import parse_document
from pettingllms.documents.source import DocumentError

SAMPLE = 150


@pytest.fixture(scope="module")
def mutants():
    start = time.monotonic()
    made = lint_mutations.generate()
    assert time.monotonic() - start < 10
    return made


@pytest.fixture(scope="module")
def verdicts(mutants, tmp_path_factory):
    some = lint_mutations.sample(mutants, SAMPLE)
    return list(lint_mutations.judge(some, tmp_path_factory.mktemp("mutants")))


def kinds_of(mutants):
    return {mutant.kind for mutant in mutants}


def count(mutants, form):
    return sum(mutant.form == form for mutant in mutants)


def test_there_are_many_mutants_of_many_kinds_in_every_form(mutants):
    assert len(mutants) >= 1000
    assert len(kinds_of(mutants)) >= 25
    assert count(mutants, "yaml") >= 150
    assert count(mutants, "included") >= 20
    assert count(mutants, "override") >= 20


def test_mutants_depend_on_the_seed_only(mutants):
    assert lint_mutations.generate() == mutants
    assert lint_mutations.generate(1) != mutants


def test_the_sample_holds_every_kind_about_as_often(mutants):
    some = lint_mutations.sample(mutants, SAMPLE)
    assert len(some) == SAMPLE
    assert kinds_of(some) == kinds_of(mutants)
    assert some == lint_mutations.sample(mutants, SAMPLE)


def test_each_mutant_differs_and_says_where_its_fault_is(mutants):
    texts = {(mutant.files, mutant.overrides) for mutant in mutants}
    assert len(texts) == len(mutants)
    for mutant in mutants:
        assert mutant.overrides or mutant.files != mutant.before
        lines = {name: text.count("\n") + 1 for name, text in mutant.files}
        lines[lint_mutations.COMMAND_LINE] = 1
        places = set().union(*mutant.expected.values())
        assert places
        assert all(line <= lines[file] for file, line in places)


def test_only_faults_of_syntax_cannot_be_read(mutants):
    for mutant in lint_mutations.sample(mutants, SAMPLE):
        for name, text in (*mutant.before, *mutant.files):
            try:
                parse_document(text, lint_mutations.Path(name))
                readable = True
            except DocumentError:
                readable = False
            is_fault = (name, text) not in mutant.before and "PLM001" in mutant.expected
            assert readable != is_fault, mutant.name


def test_marks_give_the_lines_after_all_edits():
    host = lint_mutations.Host("a = 1 # one\nb = [\n  2,\n]\n[training]\nseed = 3\n")
    edits = [host.bad("training.seed", "4"), host.mark("a", "PLM001"), host.cut("b")]
    fault = host.fault("kind", "PLM005", *edits)
    mutant = lint_mutations.mutant_of(fault, "toml", "x", "x.toml", [("main.toml", "")])
    assert mutant.files[-1] == ("x.toml", "a = 1 # one\n[training]\nseed = 4\n")
    assert mutant.before[-1] == ("x.toml", host.text)
    assert mutant.expected == {"PLM001": {("x.toml", 1)}, "PLM005": {("x.toml", 3)}}


def judged(tmp_path, before, after, expected):
    mutant = lint_mutations.Mutant("kind", "toml", "x", before, after, (), expected)
    (verdict,) = lint_mutations.judge([mutant], tmp_path / "judged")
    return verdict.found, verdict.line, verdict.rule


@pytest.mark.parametrize(
    ("expected", "verdict"),
    [
        ({"PLM003": {("x.toml", 2)}}, (True, True, True)),
        ({"PLM003": {("x.toml", 0)}}, (True, True, True)),
        ({"PLM003": {("x.toml", 1)}, "PLM006": {("x.toml", 2)}}, (True, False, True)),
        ({"PLM006": {("x.toml", 2)}}, (True, True, False)),
        ({"PLM006": {("x.toml", 1)}}, (True, False, False)),
    ],
)
def test_only_new_findings_count_and_an_expected_rule_must_be_at_its_own_line(tmp_path, expected, verdict):
    before, after = ((("x.toml", f"[training]\n{key} = 0\n"),) for key in ("seed", "sede"))
    assert judged(tmp_path, before, after, expected) == verdict
    assert judged(tmp_path / "same", before, before, expected) == (False, False, False)


def test_a_misspelt_word_is_another_word():
    rng = lint_mutations.random.Random(0)
    assert {len(mutation_kinds.misspelt(rng, "seed")) for _ in range(100)} == {3, 4, 5}
    assert "sed" not in {mutation_kinds.misspelt(rng, "seed", ["sed"]) for _ in range(100)}


@pytest.mark.parametrize(("what", "share"), [("found", 0.99), ("line", 0.99), ("rule", 0.95)])
def test_nearly_every_fault_is_found_at_its_line_by_its_rule(verdicts, what, share):
    missed = [verdict for verdict in verdicts if not getattr(verdict, what)]
    assert len(missed) <= (1 - share) * len(verdicts), "\n".join(map(lint_mutations.described, missed))
