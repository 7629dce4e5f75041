"""The shapes that programs already speak, OpenAI's and Anthropic's: their requests as ours, our answers as theirs."""
