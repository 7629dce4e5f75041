"""The transactional shell around `processors.dispatch`: the only owner of state, one writer a lane partition."""
