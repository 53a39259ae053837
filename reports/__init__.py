"""Domain values in, HTML and its twins out."""
