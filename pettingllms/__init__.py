"""PettingLLMs trains teams of language-model agents; one TOML file is one experiment."""

__version__ = "0.1.0"
