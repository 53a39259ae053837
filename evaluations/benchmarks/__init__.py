"""Benchmarks: the formats that question files and recorded answers are published in, and the figures they ask for."""
