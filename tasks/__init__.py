"""The edge: network, disk, database, clock."""
