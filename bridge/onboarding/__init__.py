"""Onboarding a customer: their tenant file, and what their IT department has to enter at their identity provider.

What is known of each IdP and each LMS is data (`idps/`, `lms/`). From that and a tenant's own settings comes one
`Pack`, whoever reads it then: the operator's terminal, a page for the customer's IT, a script, or `config/idps`.
"""
