"""Configurations for other proxies, which forward, and ask the bridge about each request (`bridge.front.forward_auth`).

One module an engine, each with one function from a `Plan` to a complete file.
"""
