import pytest

from pettingllms.sandbox.pool import run_programs as run
from pettingllms.sandbox.programs import Program, ProgramLimits


@pytest.fixture
def run_programs():
    """Runs a program on several inputs."""
    return lambda source, inputs: run([Program(source, stdin=one) for one in inputs], ProgramLimits(5.0, 512))
