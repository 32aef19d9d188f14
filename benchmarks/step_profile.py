"""Where the time of a training step goes, in the quickstart: `python -m benchmarks.step_profile [--steps N]`.

Runs the experiment as `pettingllms train` would, in this process, with vLLM in its own: the embedded model,
two agents, two policies, 8 tasks x 8 candidates. Held-out tasks are left out but for four. The first step
warms up and does not count. Wall-clock time is taken around the package's own functions, a caller being
charged for what is not inside of another of them, so that the parts add up to the step. What the engine's
process does while the trainer waits for it is told by that process: time inside vLLM, and the rest, which
is merging and reloading weights.

Left out: starting, validation, checkpoints, and the copy that a step could go back to.
"""

import functools
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

from benchmarks.engine_probe import probed
from benchmarks.harness import command_line, conditions, short, write

QUICKSTART = Path(__file__).resolve().parent.parent / "experiments" / "quickstart.toml"
OVERRIDES = [
    "training.val_freq=1000",
    "training.logger=[]",
    "env.options.validation_size=4",
    "env.options.test_size=0",
]
ENGINE = ("rollout", "engine")


class Profile:
    """Seconds by (phase, part), of the steps from the second one on."""

    def __init__(self):
        self.seconds = defaultdict(float)
        self.windows = []
        self._stack = []
        self._since = 0.0
        self._steps = 0
        self._thread = threading.main_thread()

    def watch(self, owner, name, phase, part):
        """Charge what `owner.name` does inside of a step to the part."""
        function = getattr(owner, name)

        @functools.wraps(function)
        def watched(*args, **kwargs):
            if not self._stack or threading.current_thread() is not self._thread:
                return function(*args, **kwargs)
            self._enter((phase, part))
            try:
                return function(*args, **kwargs)
            finally:
                self._leave()

        setattr(owner, name, watched)

    def watch_step(self, owner, name):
        """What `owner.name` does is a step."""
        function = getattr(owner, name)

        @functools.wraps(function)
        def step(*args, **kwargs):
            self._steps += 1
            if self._steps == 1:
                return function(*args, **kwargs)
            self._since = begin = time.perf_counter()
            self._stack = [("step", "the rest")]
            try:
                return function(*args, **kwargs)
            finally:
                self._leave()
                self.windows.append((begin, self._since))

        setattr(owner, name, step)

    def split_engine(self, report):
        """Divide the wait for the engine by what its process told."""
        waited = self.seconds.pop(ENGINE, 0.0)
        lines = [tuple(map(float, line.split())) for line in report.read_text().splitlines()]
        within = [
            one for one in lines if any(begin <= one[0] and one[1] <= end for begin, end in self.windows)
        ]
        inside = sum(vllm for _, _, vllm in within)
        whole = sum(end - begin for begin, end, _ in within)
        self.seconds["rollout", "engine: vLLM"] = inside
        self.seconds["rollout", "engine: weights merged and reloaded"] = whole - inside
        self.seconds["rollout", "engine: calls to its process"] = waited - whole

    def _enter(self, part):
        self._charge()
        self._stack.append(part)

    def _leave(self):
        self._charge()
        self._stack.pop()

    def _charge(self):
        now = time.perf_counter()
        self.seconds[self._stack[-1]] += now - self._since
        self._since = now


def watch_all(profile):
    """Put the clock around the package's functions."""
    import torch

    from pettingllms.models.tokenizer import ChatTokenizer
    from pettingllms.rollout.engine_process import EngineProcess
    from pettingllms.rollout.play import Rollout
    from pettingllms.rollout.workers import Workers
    from pettingllms.training import loop, policies, token_update, update

    profile.watch_step(loop.TrainingLoop, "_trained")
    for owner, name, phase, part in (
        (loop.TrainingLoop, "_update", "train", "the rest"),
        (loop.TrainingLoop, "_send", "sync", "the rest"),
        (loop, "step_batch", "rollout", "groups and advantages"),
        (Rollout, "play", "rollout", "episodes and scheduling"),
        (EngineProcess, "submit", *ENGINE),
        (EngineProcess, "collect", *ENGINE),
        (Workers, "finished", "rollout", "waiting for agents and environments"),
        (token_update, "build_batch", "train", "tensors of the batch"),
        (policies.Policies, "score", "train", "forward"),
        (policies, "chosen_logprobs", "train", "log-probabilities"),
        (update, "policy_loss", "train", "loss"),
        (torch.Tensor, "backward", "train", "backward"),
        (torch.nn.utils, "clip_grad_norm_", "train", "clipping and optimizer"),
        (torch.optim.AdamW, "step", "train", "clipping and optimizer"),
        (policies.Policies, "export", "sync", "adapter written"),
        (EngineProcess, "load_policy", "sync", "adapter read by the engine"),
        (loop, "write_samples", "records", "samples and metrics"),
        (loop, "episode_metrics", "records", "samples and metrics"),
        (loop, "rollout_metrics", "records", "samples and metrics"),
    ):
        profile.watch(owner, name, phase, part)
    for name, value in list(vars(ChatTokenizer).items()):
        if callable(value) and not name.startswith("_"):
            profile.watch(ChatTokenizer, name, "rollout", "prompts and texts")


def run(profile, steps, folder):
    """One trial of the quickstart in `folder`."""
    from pettingllms.config.trial_file import trial_toml
    from pettingllms.lint.engine import check_experiment
    from pettingllms.training import assembly, worker

    overrides = [*OVERRIDES, f"training.total_training_steps={steps}"]
    (folder / "trial.toml").write_text(
        trial_toml(check_experiment(QUICKSTART, overrides).experiment.stored), encoding="utf-8"
    )
    report = folder / "engine_times.txt"
    settings = assembly.engine_settings
    assembly.engine_settings = lambda *args: probed(settings(*args), report)
    watch_all(profile)
    if worker.main(folder) != 0:
        raise SystemExit((folder / "events.jsonl").read_text())
    profile.split_engine(report)


def main(arguments=None):
    parser = command_line(__doc__)
    parser.add_argument("--steps", type=int, help="training steps, the first included; default: --runs + 1")
    options = parser.parse_args(arguments)
    profile = Profile()
    with tempfile.TemporaryDirectory() as folder:
        run(profile, options.steps or options.runs + 1, Path(folder))
    count = len(profile.windows)
    step = sum(end - begin for begin, end in profile.windows) / count
    parts = [(*key, seconds / count) for key, seconds in sorted(profile.seconds.items())]
    print(f"step_profile: quickstart, {short(step)} s a step, mean of {count} steps")
    for phase in sorted({phase for phase, _, _ in parts}):
        own = sorted((one for one in parts if one[0] == phase), key=lambda one: -one[2])
        whole = sum(seconds for _, _, seconds in own)
        print(f"  {phase:44} {whole:7.3f} s {100 * whole / step:5.1f} %")
        for _, part, seconds in own:
            print(f"    {part:42} {seconds:7.3f} s {100 * seconds / step:5.1f} %")
    if options.save:
        told = [{"phase": phase, "part": part, "seconds": seconds} for phase, part, seconds in parts]
        write(
            "step_profile",
            {"what": "seconds of a training step", "steps": count, "step": step, "parts": told}
            | {"conditions": conditions()},
        )


if __name__ == "__main__":
    main()
