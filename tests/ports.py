"""Ports for servers of tests: no two tests and no two programs on the machine come for the same one at once."""

import random
import socket

BELOW_THE_SYSTEMS_OWN = range(10_000, 32_000)
"""Not what the system hands out by itself: those go to every connection, also between our look and our use."""


def free_port() -> int:
    """A port of 127.0.0.1 at which nobody listens."""
    for port in random.SystemRandom().sample(BELOW_THE_SYSTEMS_OWN, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"no free port among a hundred of {BELOW_THE_SYSTEMS_OWN}")
