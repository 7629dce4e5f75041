"""Texts to vectors, in this process: the embedders behind `processors.embedding.Embedder`."""
