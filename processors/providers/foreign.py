"""Parameters that only one API knows. A request routed to another provider leaves them behind: there they would be an error.

Sources: OpenAI's API reference, "Create chat completion"; Anthropic's API reference, "Create a message".
"""

OPENAIS = frozenset(
    {
        "logit_bias",
        "logprobs",
        "modalities",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_retention",
        "reasoning_effort",
        "safety_identifier",
        "store",
        "top_logprobs",
        "verbosity",
        "web_search_options",
    }
)
ANTHROPICS = frozenset(
    {
        "cache_control",
        "container",
        "context_management",
        "inference_geo",
        "mcp_servers",
        "output_config",
        "speed",
        "thinking",
        "top_k",
    }
)
