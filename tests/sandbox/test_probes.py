"""The probes: what they find with all layers and without some, and what is refused then."""

import sys

import pytest

from pettingllms.errors import InfrastructureError, RefusedError
from pettingllms.sandbox import probes, strength
from pettingllms.sandbox.attacks import ATTACKS, Area
from pettingllms.sandbox.pool import Pool
from pettingllms.sandbox.probes import Probe, Strength, as_lines, probe, probed
from pettingllms.sandbox.strength import require_strength, weakness

linux = pytest.mark.skipif(sys.platform != "linux", reason="layers of Linux")
WEAK = Probe(Strength.MEDIUM, {"files": "none"}, {}, ("reading files: no Landlock; install bubblewrap",))


def found_without(*layers):
    pool = Pool(1, frozenset(layers))
    try:
        return probe(pool)
    finally:
        pool.close()


def escaped(found):
    return {attack.area for attack in ATTACKS if not found.attacks[attack.name]}


@linux
def test_all_layers_together_are_strong():
    found = probed()
    assert (found.strength, found.missing, escaped(found)) == (Strength.STRONG, (), set())
    assert [found.layers[name] for name in ("files", "calls")] == ["", ""]
    assert found.layers["users"] in ("", "only root can change it")


@linux
@pytest.mark.parametrize(
    ("without", "reached", "left"),
    [
        (["files"], {Area.READING, Area.WRITING}, Strength.MEDIUM),
        (["calls"], {Area.NETWORK, Area.WRITING, Area.PROCESSES}, Strength.MEDIUM),
        (
            ["files", "calls", "users"],
            {Area.READING, Area.WRITING, Area.NETWORK, Area.PROCESSES},
            Strength.NONE,
        ),
    ],
)
def test_what_is_left_out_is_missed(without, reached, left):
    found = found_without("bubblewrap", *without)
    assert escaped(found) <= reached
    assert escaped(found)
    assert found.strength <= left or found.strength is left
    for text in found.missing:
        area, _, rest = text.partition(": ")
        assert area in reached
        assert "left out; " in rest
    assert {text.partition(": ")[0] for text in found.missing} == escaped(found)


def test_a_sandbox_that_does_not_start_is_none(monkeypatch):
    class Broken:
        def layers(self):
            raise InfrastructureError("the server has ended")

    found = probe(Broken())
    assert (found.strength, found.attacks) == (Strength.NONE, {})
    assert "the server has ended" in found.missing[0]
    assert as_lines(found.data())[0] == "none"


@pytest.mark.parametrize(("least", "allow_weak"), [("medium", False), ("strong", True)])
def test_what_is_allowed_runs(monkeypatch, least, allow_weak):
    monkeypatch.setattr(strength, "probed", lambda: WEAK)
    assert require_strength(least, allow_weak=allow_weak) is WEAK


def test_what_is_too_weak_is_refused_with_what_to_do(monkeypatch):
    monkeypatch.setattr(strength, "probed", lambda: WEAK)
    with pytest.raises(RefusedError) as refused:
        require_strength("strong", allow_weak=False)
    assert "the sandbox here is medium, not strong" in str(refused.value)
    assert "install bubblewrap" in str(refused.value)
    assert "sandbox.allow_weak = true" in refused.value.help


def test_reports_name_what_is_weak():
    assert weakness(WEAK, "medium") is None
    assert weakness(WEAK, "strong").startswith("medium, not strong (sandbox.allow_weak): reading files: ")


@linux
def test_the_table_has_a_line_for_each_layer_and_area():
    lines = as_lines(probed().data())
    assert lines[0] == "strong"
    assert len(lines) == 1 + len(probes.LAYERS) + len(Area)
    assert any(line.startswith("network") and "safe, 3 tried" in line for line in lines)


def test_names_of_attacks_are_unique():
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)
