"""The admins' page on the internal listener, `/admin`: how every tenant stands, and what became of launches.

It only reads. What it shows are counts, moments and ids: no name, no address and no secret, and of what an IdP said of
somebody only `bridge.redaction`.
"""
