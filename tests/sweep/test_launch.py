"""The command, settings and environment of a trial's process."""

import json
import sys
from pathlib import Path

from pettingllms.config import homes
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.sweep import launch

FOLDER = Path("/runs/trial_0000")


def on_cuda(resolved):
    resolved["training"]["device"] = "cuda"
    return ExperimentConfig.model_validate(resolved)


def test_the_command_passes_every_launch_value(config):
    assert launch.launch_argv(config, FOLDER, 4321) == [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--config_file",
        "/runs/trial_0000/accelerate.json",
        "--num_processes",
        "1",
        "--num_machines",
        "1",
        "--machine_rank",
        "0",
        "--mixed_precision",
        "no",
        "--dynamo_backend",
        "no",
        "--main_process_port",
        "4321",
        "--num_cpu_threads_per_process",
        "3",
        "--cpu",
        "-m",
        "pettingllms.training.worker",
        "/runs/trial_0000",
    ]


def test_on_cuda_the_processor_is_not_asked_for(resolved):
    config = on_cuda(resolved)
    assert "--cpu" not in launch.launch_argv(config, FOLDER, 4321)
    assert launch.accelerate_settings(config)["use_cpu"] is False


def test_settings_describe_one_plain_process(config):
    settings = json.loads(json.dumps(launch.accelerate_settings(config)))
    assert settings["distributed_type"] == "NO"
    assert settings["use_cpu"] is True
    assert (settings["num_processes"], settings["num_machines"], settings["mixed_precision"]) == (1, 1, "no")


def test_foreign_launch_variables_are_dropped_and_the_users_gpus_stay(config):
    inherited = {
        "PATH": "/bin",
        "CUDA_VISIBLE_DEVICES": "3",
        "ACCELERATE_USE_FSDP": "true",
        "WORLD_SIZE": "8",
        "RANK": "2",
        "OMPI_COMM_WORLD_SIZE": "4",
        "OMP_NUM_THREADS": "64",
    }
    environment = launch.launch_environment(config, inherited)
    assert environment == {
        "PATH": "/bin",
        "CUDA_VISIBLE_DEVICES": "3",
        "OMP_NUM_THREADS": "3",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONUNBUFFERED": "1",
        "MALLOC_ARENA_MAX": "2",
    }


def test_threads_default_to_the_usable_cores(resolved, monkeypatch):
    del resolved["launch"]
    monkeypatch.setattr(homes, "usable_cores", lambda: 7)
    assert homes.cpu_threads(ExperimentConfig.model_validate(resolved)) == 7


def test_a_free_port_is_a_port():
    assert 0 < launch.free_port() < 65536


def test_two_processes_on_the_cpu_are_started_as_if_for_gpus(resolved):
    resolved["launch"] = {"num_processes": 2, "num_cpu_threads_per_process": 1}
    config = ExperimentConfig.model_validate(resolved)
    command = launch.launch_argv(config, FOLDER, 4321)
    assert "--multi_gpu" in command and "--cpu" not in command
    assert command[command.index("--num_processes") + 1] == "2"
    settings = launch.accelerate_settings(config)
    assert (settings["distributed_type"], settings["num_processes"], settings["use_cpu"]) == (
        "MULTI_GPU",
        2,
        False,
    )
    environment = launch.launch_environment(config, {"ACCELERATE_USE_CPU": "false"})
    assert environment["ACCELERATE_USE_CPU"] == "true"
    assert environment["GLOO_SOCKET_IFNAME"] == "lo"
