"""`python -m cli`: the same as `assay`."""

from cli.main import main

main()
