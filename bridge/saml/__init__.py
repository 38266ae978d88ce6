"""SAML 2.0 as a service provider, and nothing of Kombo. The only room that touches XML.

`verify` reads a response: `guard` its shape, `profile` the one allowed kind of signature, `signature` the
cryptography, `rules` and `statements` what the verified bytes say. `request`, `party` and `metadata` are the rest of
the conversation.
"""
