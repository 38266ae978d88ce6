"""`python -m bridge` is `kombo-bridge`."""

from bridge.cli import main

main()
