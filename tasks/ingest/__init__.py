"""Ingest: logs of production requests, from files into the store.

reading.py cuts a file into chunks of records, formats.py makes each record one of ours, typed.py makes a frame with
typed columns of them, contract.py checks it, scrubbing.py takes personal data out, pricing.py prices it, and
ingesting.py lands it. Whatever cannot land goes to quarantine with its line and reason.
"""
