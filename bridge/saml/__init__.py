"""SAML 2.0 as a service provider, and nothing of Kombo. The only room that touches XML, but for the demo's IdP.

`verify` reads a response: `guard` its shape, `profile` the one allowed kind of signature, `signature` the
cryptography, `rules` and `statements` what the verified bytes say. `logout` reads and makes the messages of single
logout, which travel by `redirect` or `post`; `sending` and `signing` are what all messages of ours have in common.
`request`, `party` and `metadata` are the rest of the conversation.
"""
