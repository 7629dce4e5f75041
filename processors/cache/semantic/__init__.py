"""Whether an answer kept for one wording of a question may answer another wording of it."""
