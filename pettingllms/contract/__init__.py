"""Checks of environments and agents against their contract, for tests: what is broken is said in words."""

from pettingllms.contract.checks import CHECKS, check
from pettingllms.contract.subject import ContractError, Example, Subject

__all__ = ["CHECKS", "ContractError", "Example", "Subject", "check"]
