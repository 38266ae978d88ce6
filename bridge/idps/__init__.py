"""Metadata of IdPs by URL: fetched by our own client, kept in the state, refreshed for as long as the tenant lives."""
