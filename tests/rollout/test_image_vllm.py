"""The real vLLM reads the images that the trainer scores, update after update."""

import pytest
from image_prompts import check, trainer
from served_engines import engine_settings
from vision_models import build_idefics3, build_qwen3_vl

pytest.importorskip("vllm")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
BUILDS = {"idefics3": build_idefics3, "qwen3_vl": build_qwen3_vl}


@pytest.fixture
def started(tmp_path):
    """Start vLLM on a model that sees; `serving`: of policies."""
    from pettingllms.rollout.engine_process import EngineProcess

    running = []

    def start(model, serving):
        folder = BUILDS[model](tmp_path / model)
        told = engine_settings(folder, "vllm", serving, images=True)
        running.append(EngineProcess(told, tmp_path / "engine.log", lambda: None))
        running[-1].wait_ready()
        return running[-1], folder

    yield start
    for engine in running:
        engine.close()


@pytest.mark.parametrize("model", BUILDS)
def test_merged_adapters_and_full_weights_that_see(started, tmp_path, model):
    engine, folder = started(model, "merged")
    assert check(engine, folder, trainer(folder), tmp_path / "lora")
    for version in (2, 3):
        # What it made of the same images by other weights is not used again.
        full = trainer(folder, ("a",), seed=version, model={"specialization": "full"})
        check(engine, folder, full, tmp_path / f"full-{version}", "a", version)
    engine.restore()


@pytest.mark.parametrize("model", BUILDS)
def test_adapters_beside_each_other(started, tmp_path, model):
    engine, folder = started(model, "adapter")
    for version in (1, 2):
        check(engine, folder, trainer(folder, seed=version), tmp_path / str(version), version=version)
    engine.restore()
