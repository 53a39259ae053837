"""Postgres: the only place with SQL. `schema` is the tables, `database` the way in, the other modules ask questions."""
