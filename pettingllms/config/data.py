"""Rows of datasets: how those of one's own are read, how many may be bad, and how many are held out."""

from __future__ import annotations

from pydantic import Field

from pettingllms.config.model import ConfigModel


class DataOptions(ConfigModel):
    """The part of `env.options` of environments whose tasks can be rows of files.

    Options of such an environment derive from it.
    """

    fields: dict[str, str] | str = Field(default_factory=dict)
    """What the rows of `env.dataset` hold, where that is no preset. A table: where in a row each field of a
    task is found, such as `{ question = "prompt.0.content" }`; those without an entry are found under their
    own name. A text: the preset whose format the rows have."""
    benchmark_fields: dict[str, str] | str = Field(default_factory=dict)
    """The same for the rows of `env.benchmark`."""
    max_bad_fraction: float = Field(0.01, ge=0, le=1)
    """Share of the rows of a split that may be bad; more stop the run. All are counted and reported."""
    drop_contaminated: bool = False
    """Leave out training tasks that ask what one of validation or test asks, or share 13 words in a row with
    one. `pettingllms data check` counts them without it."""
    validation_size: int = Field(64, ge=1)
    """Validation tasks, where `env.dataset` has no rows of its own for them; rows are held out then."""
    test_size: int = Field(128, ge=0)
    """Test tasks, measured before the first and after the last step and never used to choose anything; held
    out as those for validation are."""
