"""What `bench/choices.py` measures, a file each, and what these share: the ground they run on, the asking, the figures."""
