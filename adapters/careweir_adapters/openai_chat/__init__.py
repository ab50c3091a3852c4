"""OpenAI-compatible chat completions with a JSON schema."""
