"""No cheap strategy earns more than somebody who tries and errs; `just hacking` prints the table."""

import pytest

from benchmarks.hacking import rows


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("code_env", 2),
        pytest.param("code_env", None, marks=pytest.mark.slow),
        ("math_env", None),
        ("search_env", None),
        ("stateful_env", None),
        ("stateful_env, shaping", None),
    ],
)
def test_no_cheap_strategy_pays(name, most):
    table = rows(name, most)
    assert len(table) >= 30
    for agent in {row.agent for row in table} - {"verifier"}:
        assert len([row for row in table if row.agent == agent]) >= 12, agent
    assert [row for row in table if row.pays] == []
    # A verdict is right or wrong: a constant one is right half of the time, and so is a guess. Any query may
    # find a passage that is needed. Where coming nearer is rewarded, what does so by luck gets its part on
    # some problem.
    lucky = ("verifier", "web_search_agent")
    exact = [row for row in table if row.honest <= 0] if "shaping" in name else table
    never = [row for row in exact if row.agent not in lucky and row.most > 0]
    assert never == [], "even on the problem that suits it best"
