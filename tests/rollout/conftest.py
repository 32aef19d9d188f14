"""Engines to test, and the models that they run; vLLM is started once for each way of serving."""

import importlib.util

import pytest
from served_engines import Served, engine_settings
from tiny_model_fixture import tiny_model

__all__ = ["tiny_model"]


@pytest.fixture
def one_thread():
    """Tiny matrices are not worth a second thread, least of all on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tied_model(tmp_path_factory):
    from engine_models import build_model

    return build_model(tmp_path_factory.mktemp("models") / "tied", tied=True)


@pytest.fixture(scope="session")
def untied_model(tmp_path_factory):
    from engine_models import build_model

    return build_model(tmp_path_factory.mktemp("models") / "untied", tied=False)


@pytest.fixture(scope="session")
def vllm_starting(tied_model, untied_model, tmp_path_factory):
    """Both engines, starting side by side: merged weights of a tied model, adapters of one that is not."""
    from pettingllms.rollout.engine_process import EngineProcess

    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not available on this platform")
    started = {}
    for serving, model in {"merged": tied_model, "adapter": untied_model}.items():
        folder = tmp_path_factory.mktemp(f"vllm-{serving}")
        told = engine_settings(model, "vllm", serving)
        process = EngineProcess(told, folder / "engine.log", lambda: None)
        started[serving] = Served(process, f"vllm-{serving}", model, folder, {})
    yield started
    for served in started.values():
        served.engine.close()


@pytest.fixture(scope="session")
def vllm_merged(vllm_starting):
    vllm_starting["merged"].engine.wait_ready()
    return vllm_starting["merged"]


@pytest.fixture(scope="session")
def vllm_adapter(vllm_starting):
    vllm_starting["adapter"].engine.wait_ready()
    return vllm_starting["adapter"]


@pytest.fixture(scope="session", params=["merged", "adapter"])
def vllm(request):
    """The real vLLM, in both ways of serving."""
    return request.getfixturevalue(f"vllm_{request.param}")


@pytest.fixture
def hf(tied_model, tmp_path):
    """A fresh engine of transformers."""
    from pettingllms.rollout.hf import HfEngine

    engine = HfEngine(engine_settings(tied_model, "hf", "adapter"))
    yield Served(engine, "hf-adapter", tied_model, tmp_path, {})
    engine.close()


@pytest.fixture
def hf_merged(tied_model, tmp_path):
    """The same, whose policies are merged."""
    from pettingllms.rollout.hf import HfEngine

    engine = HfEngine(engine_settings(tied_model, "hf", "merged"))
    yield Served(engine, "hf-merged", tied_model, tmp_path, {})
    engine.close()


@pytest.fixture
def scripted(tied_model, tmp_path):
    """The engine without weights."""
    from pettingllms.rollout.scripted import ScriptedEngine

    told = engine_settings(tied_model, "scripted", "merged", max_num_seqs=2)
    return Served(ScriptedEngine(told), "scripted", tied_model, tmp_path, {})
