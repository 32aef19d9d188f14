"""What a policy uses where a key follows another one."""

from pathlib import Path

import pytest

from pettingllms.compose.references import resolve_references
from pettingllms.config.edits import edited
from pettingllms.config.homes import plan_policies
from pettingllms.config.typed import type_cell
from pettingllms.documents.read import read_document

ONE_POLICY = read_document(Path(__file__).parents[1] / "cases/shared/one_policy.toml").data
ROLLOUT = ("models", "model_0", "ppo_trainer_config", "actor_rollout_ref", "rollout")


@pytest.mark.parametrize(
    ("device", "said", "phases"),
    [
        ("cpu", {}, True),
        ("cuda", {}, False),
        ("cuda", {"lora_serving": "merged"}, True),
        ("cuda", {"lora_serving": "merged", "mode": "async"}, False),
        ("cpu", {"mode": "async"}, False),
        ("cuda", {"mode": "sync"}, True),
    ],
)
def test_rollout_streams_where_numbers_need_not_come_again(device, said, phases):
    changes = {("training", "device"): device} | {(*ROLLOUT, key): value for key, value in said.items()}
    cell = type_cell(resolve_references(edited(ONE_POLICY, [], changes), {}))
    assert not cell.findings
    (plan,) = plan_policies(cell.config).values()
    assert plan.phases == phases
