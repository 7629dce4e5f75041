"""Which requests are the same question, which answers may be kept, and what a kept answer says."""
