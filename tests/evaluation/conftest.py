import pytest
from evaluated_run import make_run, save_scripted
from tiny_model_fixture import tiny_model

__all__ = ["tiny_model"]


@pytest.fixture
def run_folder(tmp_path, tiny_model):
    """A run of the scripted experiment with checkpoints of its steps 1 and 2."""
    folder = make_run(tmp_path / "run", tiny_model)
    for step in (1, 2):
        save_scripted(folder, step)
    return folder
