"""Webhooks: which addresses may be called, what they are told and how it is signed, and when to try again. Pure."""
