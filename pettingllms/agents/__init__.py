"""Agent roles: a table of names; the roles of one task family are one module."""

from typing import TYPE_CHECKING

from pettingllms.registry import Registry

if TYPE_CHECKING:
    from pettingllms.agents.base import Agent

AGENTS: "Registry[type[Agent]]" = Registry(
    "agent",
    {
        "tool_generator": "pettingllms.agents.math:ToolGenerator",
        "reasoning_generator": "pettingllms.agents.math:ReasoningGenerator",
        "verifier": "pettingllms.agents.math:Verifier",
        "math_selfverify_single_agent": "pettingllms.agents.math:SelfVerifyingReasoner",
        "sample_reasoning_agent": "pettingllms.agents.math:SampleReasoner",
        "sample_tool_agent": "pettingllms.agents.math:SampleTool",
        "aggregator": "pettingllms.agents.math:Aggregator",
        # The names that existing experiments have for it.
        "aggreted_agent": "pettingllms.agents.math:Aggregator",
        "aggregation_agent": "pettingllms.agents.math:Aggregator",
        "code_generator": "pettingllms.agents.code:CodeGenerator",
        "test_generator": "pettingllms.agents.code:TestGenerator",
        "code_selfverify_single_agent": "pettingllms.agents.code:SelfVerifyingAgent",
        "web_search_agent": "pettingllms.agents.search:WebSearchAgent",
        "search_reasoning_agent": "pettingllms.agents.search:SearchReasoningAgent",
        "search_single_agent": "pettingllms.agents.search:SearchSingleAgent",
        "tool_call_agent": "pettingllms.agents.stateful:ToolCallAgent",
        "plan_agent": "pettingllms.agents.stateful:PlanAgent",
        "single_agent": "pettingllms.agents.single:SingleAgent",
    },
    group="pettingllms.agents",
    check="pettingllms.agents.base:fault_of",
)
