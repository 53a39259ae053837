"""The domain: what a case, an answer, a score and a verdict are, and the arithmetic between them. No I/O, no clock."""
