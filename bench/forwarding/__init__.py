"""What forwarding costs, beside others that do the same job; see docs/performance.md.

`sides` and the modules beside it start each proxy, `checks` refuses to time a wrong one, `load` drives it, `machine`
counts what it used, `runs` and `streams` take the turns, `report` says what came of it.
"""
