"""Engine against trainer: log-probabilities of one run's test samples, scored again from its last checkpoint.

Loads the checkpoint with plain transformers and PEFT, runs every sequence alone, and compares with what the
engine reported when it sampled. Usage: python -m benchmarks.engine_gap RUN_FOLDER
"""

import json
import statistics
import sys
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from pettingllms.config.homes import plan_policies
from pettingllms.config.trial_file import read_trial
from pettingllms.models.folders import local_folder


def main(folder):
    config = read_trial(folder / "trial.toml")
    steps = config.training.total_training_steps
    paths = {name: plan.path for name, plan in plan_policies(config).items()}
    checkpoint = folder / "checkpoints" / f"step_{steps:06d}"
    state = json.loads((checkpoint / "state.json").read_text())
    model = None
    for number, policy in enumerate(state["policies"]):
        adapter = checkpoint / "policies" / str(number)
        if model is None:
            base = AutoModelForCausalLM.from_pretrained(
                local_folder(paths[policy["name"]], print), dtype=torch.float32
            )
            model = PeftModel.from_pretrained(base, adapter, adapter_name=str(number))
        else:
            model.load_adapter(adapter, adapter_name=str(number))
    names = {policy["name"]: str(number) for number, policy in enumerate(state["policies"])}
    gaps = []
    for line in (folder / "samples" / f"test-{steps:06d}.jsonl").read_text().splitlines():
        for turn in json.loads(line)["turns"]:
            model.set_adapter(names[turn["policy"]])
            for sample in turn["samples"]:
                ids = torch.tensor([turn["prompt_ids"] + sample["token_ids"]])
                with torch.no_grad():
                    logits = model(ids).logits[0].float()
                scored = torch.log_softmax(logits[len(turn["prompt_ids"]) - 1 : -1], dim=-1)
                ours = scored.gather(1, torch.tensor(sample["token_ids"])[:, None]).squeeze(1)
                gaps += (ours - torch.tensor(sample["logprobs"])).abs().tolist()
    print(f"{len(gaps)} sampled tokens after {[p['version'] for p in state['policies']]} updates")
    print(f"|engine - trainer| nats: mean {statistics.fmean(gaps):.2e}  max {max(gaps):.2e}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
