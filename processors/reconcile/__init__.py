"""What a provider says it bills, beside what the ledger says.

1. A line of an export is about one call, under our call id or under the provider's id of its answer; or it is the sum of a time
   bucket, which names no call.
2. Counts become ours before they are compared: all input, cached tokens included; all output, reasoning included.
3. A call that both sides have is the provider's to count: what differs is posted as an adjustment, and an estimate that was
   right becomes an actual.
4. A sum of many calls is compared and shown, never posted: which call it belongs to would be a guess.
"""
