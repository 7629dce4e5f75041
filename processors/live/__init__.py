"""What a person sees who watches: a fold of what the log says, for one tenant or for all."""
