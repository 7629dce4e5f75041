"""Usage and a price list in; cost events and totals out. Integers of 1e-9 US dollars."""
