"""A request in; its task kind, complexity and size out; or what is wrong with it."""
