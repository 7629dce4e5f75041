"""A prompt in; out, how much better the strong model will answer it than the weak one, and from which gain on it pays."""
