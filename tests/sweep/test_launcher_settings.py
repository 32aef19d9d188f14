"""The real launcher, asked what it would do: the user's own settings for other projects change nothing."""

import json

import pytest

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.sweep.launch import accelerate_settings, launch_argv

HOSTILE = """\
compute_environment: LOCAL_MACHINE
distributed_type: FSDP
mixed_precision: fp16
num_processes: 8
num_machines: 2
machine_rank: 1
main_process_ip: 10.0.0.1
gpu_ids: 2,3
use_cpu: false
enable_cpu_affinity: true
dynamo_config: {dynamo_backend: INDUCTOR}
fsdp_config: {fsdp_version: 2}
"""


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_launcher_runs_one_plain_process(resolved, tmp_path, monkeypatch, device):
    launcher = pytest.importorskip("accelerate.commands.launch")
    hostile = tmp_path / "default_config.yaml"
    hostile.write_text(HOSTILE)
    monkeypatch.setattr(launcher, "default_config_file", str(hostile))
    monkeypatch.setattr("accelerate.commands.config.config_args.default_config_file", str(hostile))
    resolved["training"]["device"] = device
    config = ExperimentConfig.model_validate(resolved)
    (tmp_path / "accelerate.json").write_text(json.dumps(accelerate_settings(config)))
    words = launch_argv(config, tmp_path, 4321)[3:]
    args, _, _ = launcher._validate_launch_command(launcher.launch_command_parser().parse_args(words))
    plain = {
        "use_fsdp": False,
        "use_deepspeed": False,
        "use_megatron_lm": False,
        "multi_gpu": False,
        "tpu": False,
        "cpu": device == "cpu",
        "num_processes": 1,
        "num_machines": 1,
        "machine_rank": 0,
        "gpu_ids": "all",
        "mixed_precision": "no",
        "dynamo_backend": "no",
        "num_cpu_threads_per_process": 3,
        "enable_cpu_affinity": False,
        "training_script": "pettingllms.training.worker",
        "training_script_args": [str(tmp_path)],
    }
    assert {name: getattr(args, name) for name in plain} == plain
