"""One thin shell an agent: it reads, asks `processors`, and writes."""
