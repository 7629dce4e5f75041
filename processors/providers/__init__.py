"""Adapters: an ordered call in, a Completion or a Failed out. The one folder of `processors` that awaits."""
