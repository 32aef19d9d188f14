"""What a reflecting model is asked, by the kind of text that it shall write; in the form of gepa's templates.

`<curr_param>` stands for the present text, `<side_info>` for what came of it.
"""

SYSTEM_PROMPT = """You improve the instructions of one agent in a team of language models.

Its present instructions are:
```
<curr_param>
```

This is what came of them on some tasks: what the agent was shown, what it answered, what the answer earned
and why, and whether the team solved the task:

<side_info>

Write better instructions for this agent. Say what its input looks like, what exactly its answer must hold
and in which form, and what went wrong above. They must serve for other tasks of the same kind: do not repeat
these tasks or their answers. Write the new instructions between ``` lines, and nothing else.
"""
EXAMPLES = """You choose the worked examples that one agent in a team of language models is shown first.

Its present examples, as a JSON list of objects with the keys "user" (what the agent is shown) and "assistant"
(what it should answer), are:
```
<curr_param>
```

This is what came of them on some tasks: what the agent was shown, what it answered, what the answer earned
and why, and whether the team solved the task:

<side_info>

Write a better list of at most four short examples, in the form of the input and of a right answer. Write it
as such a JSON list between ``` lines, and nothing else.
"""
TEMPLATES = {"system_prompt": SYSTEM_PROMPT, "examples": EXAMPLES}
