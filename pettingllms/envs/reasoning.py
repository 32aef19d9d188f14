"""`reasoning_gym:NAME`: generated tasks of the package reasoning-gym, which scores their answers itself."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from pettingllms.envs.drawn import sizes_of, split_of
from pettingllms.envs.grading import SECONDS, Gold, Verdict, grade, number
from pettingllms.envs.grading_process import score
from pettingllms.errors import RefusedError
from pettingllms.registry import closest
from pettingllms.types import Split, Task

PREFIX = "reasoning_gym:"
_NO_ANSWER = "its tasks have no answer that could be compared with"
REFUSED: Mapping[str, str] = {
    "codeio": "it runs code of others while tasks are made, and makes others each time",
    "composite": "it is made of other tasks, which can be named themselves",
    "sokoban": "it takes seconds to make one task",
    **dict.fromkeys(("boxnet", "graph_color", "propositional_logic", "rubiks_cube", "rush_hour"), _NO_ANSWER),
}
"""Tasks of the package that cannot be used, and why."""
NAMES = """
ab acre advanced_geometry aiw arc_1d arc_agi base_conversion basic_arithmetic bf binary_alternation
binary_matrix bitwise_arithmetic boxnet caesar_cipher calendar_arithmetic chain_sum circuit_logic codeio
coin_flip color_cube_rotation complex_arithmetic composite count_bits count_primes countdown
course_schedule cryptarithm decimal_arithmetic decimal_chain_sum dice emoji_mystery family_relationships
figlet_font fraction_simplification futoshiki game_of_life game_of_life_halting gcd graph_color
group_anagrams gsm_symbolic intermediate_integration isomorphic_strings jugs kakurasu knight_swap
knights_knaves largest_island lcm leg_counting letter_counting letter_jumble list_functions
mahjong_puzzle manipulate_matrix maze mini_sudoku modulo_grid n_queens needle_haystack number_filtering
number_format number_sequence number_sorting palindrome_generation palindrome_partitioning path_star
polynomial_equations polynomial_multiplication pool_matrix power_function prime_factorization products
propositional_logic puzzle24 quantum_lock ransom_note rearc rectangle_count rotate_matrix rotten_oranges
rubiks_cube rush_hour self_reference sentence_reordering shortest_path simple_equations simple_geometry
simple_integration sokoban spell_backward spiral_matrix string_insertion string_manipulation
string_splitting string_synthesis sudoku survo syllogism time_intervals tower_of_hanoi tsumego
word_ladder word_sequence_reversal word_sorting zebra_puzzles
""".split()  # noqa: SIM905 - as a list of literals it would fill a page
"""Those of reasoning-gym 0.1.25: the linter does not import the package, which takes seconds."""
_EVALUATED = {
    *("countdown", "puzzle24", "simple_integration", "intermediate_integration"),
    *("polynomial_multiplication", "polynomial_equations", "bitwise_arithmetic"),
}
"""Tasks whose scorers evaluate an answer: nothing but mathematics may be in it."""
_FUNCTIONS = {
    *("sqrt", "exp", "log", "ln", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh"),
    *("pi", "abs", "Abs"),
}
_ODD = re.compile(r"__|[^\x20-\x7e\n]|\.\s*[A-Za-z_]|['\"`@;:!?&$#\[\]{}]")
_LONGEST = 10_000


def fault_in(dataset: str) -> str | None:
    """Why `dataset`, which begins with `PREFIX`, cannot be used; None where nothing is known against it."""
    reason = REFUSED.get(dataset.removeprefix(PREFIX))
    return None if reason is None else f"{dataset} cannot be used: {reason}"


def unknown_in(dataset: str) -> tuple[str, str] | None:
    """That the package has no such tasks, and what was meant; None where it has them, as far as is known."""
    name = dataset.removeprefix(PREFIX)
    if name in NAMES:
        return None
    near = closest(name, [one for one in NAMES if one not in REFUSED])
    help_text = f"did you mean {PREFIX}{near}?" if near else "such as reasoning_gym:gsm_symbolic"
    return f"reasoning-gym has no tasks {name!r}", help_text


def generate(dataset: str, split: Split, options: Any, seed: int) -> Sequence[Task]:
    """Tasks of `split`: all splits come from one seeded row of tasks with different questions, test first.

    Raises RefusedError where the package is missing, has no such tasks, or they cannot be used.
    """
    name = dataset.removeprefix(PREFIX)
    if fault := fault_in(dataset):
        raise RefusedError(fault, help="name another task of reasoning-gym")
    try:
        with warnings.catch_warnings():
            # Of its own dependencies, which nobody here can mend.
            warnings.simplefilter("ignore")
            import reasoning_gym
            from reasoning_gym.factory import DATASETS as KNOWN
    except ImportError as error:
        raise RefusedError(
            f"{dataset} needs the package reasoning-gym, which is not installed",
            help="`uv sync --extra reasoning`, or pip install reasoning-gym==0.1.25",
        ) from error
    if name not in KNOWN:
        near = closest(name, KNOWN)
        raise RefusedError(
            f"reasoning-gym has no tasks {name!r}",
            help=f"did you mean {PREFIX}{near}?"
            if near
            else "reasoning_gym.factory.DATASETS has their names",
        )
    wanted = sum(sizes_of(options).values())
    rows = reasoning_gym.create_dataset(name, size=2 * wanted, seed=seed)
    found: dict[str, Task] = {}
    for place in range(2 * wanted):
        row = rows[place]
        scorer = {"name": name, "size": 2 * wanted, "seed": seed, "place": place}
        data = {"question": row["question"], "answer": str(row["answer"]), "scorer": scorer}
        found.setdefault(" ".join(row["question"].split()).lower(), Task(str(place), split, data))
        if len(found) == wanted:
            break
    return split_of(dataset, list(found.values()), split, options)


def scored(scorer: Mapping[str, Any], gold: str, answer: str, *, simplified: bool = True) -> Verdict:
    """What `answer` is worth: a number by the rules of `grade`, anything else by the package's own scorer.

    It has to give the full score: parts of it are given for much that is no solution. It works in a process
    of its own. Raises InfrastructureError.
    """
    if answer.strip() == gold.strip():
        return Verdict.CORRECT
    if number(gold) is not None:
        return grade(Gold(gold, simplified=simplified), answer)
    if len(answer) > _LONGEST:
        return Verdict.TIMEOUT
    if scorer["name"] in _EVALUATED and not _is_mathematics(answer):
        return Verdict.UNPARSABLE
    return score(scorer, answer, SECONDS)[0]


def _is_mathematics(answer: str) -> bool:
    """Whether `answer` consists of numbers, signs, single letters and known functions."""
    words = re.findall(r"[A-Za-z_]\w*", answer)
    return not _ODD.search(answer) and all(len(word) == 1 or word in _FUNCTIONS for word in words)
