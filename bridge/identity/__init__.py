"""From what an assertion says to exactly one Kombo user."""
