"""F19: metrics never lie: everything that can be recounted from the saved samples is what was logged."""

from statistics import fmean

import pytest
from test_worker import lines, original_signal_handlers, prepared  # noqa: F401 - a fixture is used by name

from pettingllms.training import worker

TRAINER = "+models.model_{}.ppo_trainer_config"
RUNS = {
    "tree": [],
    "independent": ["training.rollout_mode=independent"],
    "filtered": [f"{TRAINER.format(n)}.filter_method=mean" for n in (0, 1)]
    + [f"{TRAINER.format(n)}.filter_ratio=0.25" for n in (0, 1)],
    "refilled": [f"{TRAINER.format(n)}.filter_method=dapo" for n in (0, 1)],
    "truncated": [
        f"{TRAINER.format(0)}.algorithm.mask_truncated_samples=true",
        "training.max_response_length=12",
    ],
    "several completions": ["+agent_policy_configs.agent_configs.agent_1.sample_num=2"],
}


def recounted(split, episodes):
    """What the samples of one step of a split say, by the names of the metrics."""
    turns = [turn for one in episodes for turn in one["turns"]]
    samples = [sample for turn in turns for sample in turn["samples"]]
    found = {}
    successes = []
    for one in episodes:
        last = one["turns"][-1] if one["turns"] else None
        successes += (
            [s["success"] for s in last["samples"]]
            if last and last["chosen"] is not None
            else [one["success"]]
        )
    found[f"{split}/success_rate"] = fmean(successes)
    for agent in sorted({turn["agent"] for turn in turns}):
        own = [sample for turn in turns if turn["agent"] == agent for sample in turn["samples"]]
        found[f"{split}/reward/{agent}"] = fmean(s["reward"] for s in own if s["reward"] is not None)
        if split == "train":
            found[f"train/truncated/{agent}"] = fmean(s["finish_reason"] == "length" for s in own)
            found[f"train/response_length/{agent}"] = fmean(len(s["token_ids"]) for s in own)
            found |= of_groups(agent, episodes)
    if split == "train":
        found["train/tokens"] = sum(len(sample["token_ids"]) for sample in samples)
        found["train/tasks"] = len({one["place"] for one in episodes})
    return found


def of_groups(agent, episodes):
    """Groups are one task, one agent, one turn; tasks that were played in vain have no advantages."""
    groups = {}
    for one in episodes:
        for turn in one["turns"]:
            if turn["agent"] == agent and any(s["advantage"] is not None for s in turn["samples"]):
                groups.setdefault((one["place"], turn["turn"]), []).extend(
                    (one["branch"], sample) for sample in turn["samples"]
                )
    rewards = [
        {(branch, s["candidate"]): s["reward"] for branch, s in group if s["reward"] is not None}
        for group in groups.values()
    ]
    scored = [s for group in groups.values() for _, s in group if s["token_ids"]]
    if not rewards:
        return {}
    return {
        f"train/group_size/{agent}": fmean(len(one) for one in rewards),
        f"train/zero_variance/{agent}": fmean(len(set(one.values())) == 1 for one in rewards),
        f"train/dropped/{agent}": fmean(s["dropped"] is not None for s in scored),
    }


@pytest.mark.parametrize("run", RUNS)
def test_f19_logged_numbers_are_those_of_the_saved_samples_in_all_steps(tmp_path, tiny_model, run):
    folder = prepared(tmp_path, tiny_model, "training.train_batch_size=3", *RUNS[run])
    assert worker.main(folder) == 0
    records = lines(folder / "metrics.jsonl")
    assert [record["step"] for record in records] == [0, 1, 2]
    compared = set()
    for record in records:
        for split in ("train", "val", "test"):
            file = folder / "samples" / f"{split}-{record['step']:06d}.jsonl"
            logged = any(name.startswith(f"{split}/") for name in record)
            assert file.exists() == logged
            if not logged:
                continue
            found = recounted(split, lines(file))
            for name, value in found.items():
                assert record[name] == pytest.approx(value, rel=1e-12), (record["step"], name)
            compared |= found.keys()
    left = {name for record in records for name in record} - compared
    # What samples cannot tell: the trainer's own numbers, times, and what environments measure of states.
    policies = ("/tool policy", "/reason/policy")
    assert all(
        name.startswith(("time/", "perf/"))
        or name.endswith(policies)
        or name.split("/")[1:2] == ["env"]
        or name in KNOWN
        for name in left
    ), left


KNOWN = {"step", "train/cut_prompts", "train/skipped_turns"}
