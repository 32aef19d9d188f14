"""Reflection: a model reads what came of a team's prompts and proposes better ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pettingllms.errors import ReflectionError
from pettingllms.rollout.engine import Engine, generate
from pettingllms.rollout.prompts import Tokenizer, fit_prompt
from pettingllms.rollout.seeds import derive
from pettingllms.training.prompts.memory import Memory
from pettingllms.training.prompts.reflection_prompts import TEMPLATES
from pettingllms.training.prompts.texts import Candidate, PromptTexts, component
from pettingllms.types import FinishReason, Message, Request, TokenSampling

Records = Sequence[Mapping[str, Any]]
Job = tuple[Candidate, Mapping[str, Records], list[str]]
"""A candidate, what came of it by component, and the components for which another text is wanted."""


class Reflector(Protocol):
    """A model that answers prompts."""

    def answers(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[str]:
        """One answer per prompt, in order. Raises ReflectionError where there is none."""


@dataclass(frozen=True, slots=True)
class PolicyReflector:
    """A policy of the run that reflects, asked through the engine as an agent is.

    `prompt_limit`: tokens; a longer prompt is cut in its middle.
    """

    engine: Engine
    tokenizer: Tokenizer
    policy: str
    sampling: TokenSampling
    prompt_limit: int

    def answers(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[str]:
        """One answer per prompt, all asked at once."""
        requests = []
        for prompt, seed in zip(prompts, seeds, strict=True):
            ids, *_ = fit_prompt(self.tokenizer, [Message("user", prompt)], self.prompt_limit)
            requests.append(Request(self.policy, ids, self.sampling, seed))
        self.engine.forget_prompts()
        found = generate(self.engine, requests)
        for one in found:
            if one.finish_reason is FinishReason.FAILED:
                raise ReflectionError(
                    f"policy {self.policy!r} could not reflect: {one.error}",
                    help="lower training.prompt.reflection_prompt_length, or raise rollout.max_model_len",
                )
        return [self.tokenizer.decode(one.token_ids) for one in found]


@dataclass(slots=True)
class Reflection:
    """Asks for new texts, and leaves out those that cannot be used: the search then keeps what it has.

    `lead`: what its argument gives on the first process of the run, in all of them. `said`: is told, in
    words, of each proposal that is left out.
    """

    reflector: Reflector
    texts: PromptTexts
    memory: Memory
    seed: int
    lead: Callable[[Callable[[], list[str]]], list[str]]
    said: Callable[[str], None]
    _calls: int = field(default=0, init=False)

    def proposals(self, jobs: Sequence[Job]) -> list[dict[str, str]]:
        """New texts by component, for each job. Raises ReflectionError."""
        self._calls += 1
        asked = [(number, name) for number, (_, _, names) in enumerate(jobs) for name in names]
        question = {"reflection": self._calls, "jobs": [[texts, names] for texts, _, names in jobs]}
        answers = self.memory.known(question)
        if answers is None:
            answers = self._usable(jobs, asked, self._ask(jobs, asked))
            self.memory.keep(question, answers)
        found: list[dict[str, str]] = [{} for _ in jobs]
        for (number, name), text in zip(asked, answers, strict=True):
            if text is not None:
                found[number][name] = text
        return found

    def _ask(self, jobs: Sequence[Job], asked: Sequence[tuple[int, str]]) -> list[str]:
        from gepa.strategies.instruction_proposal import InstructionProposalSignature as Form

        prompts = [
            Form.prompt_renderer(
                {
                    "current_instruction_doc": jobs[number][0][name],
                    "dataset_with_feedback": jobs[number][1][name],
                    "prompt_template": TEMPLATES[component(name)[1]],
                }
            )
            for number, name in asked
        ]
        seeds = [derive(self.seed, "reflection", self._calls, place) for place in range(len(prompts))]
        answers = self.lead(lambda: self.reflector.answers(prompts, seeds))
        return [Form.output_extractor(answer.strip())["new_instruction"] for answer in answers]

    def _usable(
        self, jobs: Sequence[Job], asked: Sequence[tuple[int, str]], texts: Sequence[str]
    ) -> list[str | None]:
        """The texts; None in the place of one that cannot be used."""
        found: list[str | None] = []
        for (number, name), text in zip(asked, texts, strict=True):
            why = "it is empty" if not text else self.texts.refusal(name, text, jobs[number][0])
            if why is not None:
                self.said(f"a proposal for {name} is left out: {why}")
            found.append(text if why is None else None)
        return found
