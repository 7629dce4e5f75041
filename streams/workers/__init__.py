"""Workers: orders from ai.calls.<provider> in, calls made, what became of them out."""
