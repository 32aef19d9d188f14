"""Foreign forms of an experiment (launch scripts, Hydra command lines, sweep files) to one TOML file."""
