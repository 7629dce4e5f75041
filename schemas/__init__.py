"""The nouns: what travels on topics. Imports nothing else of Penstock."""
