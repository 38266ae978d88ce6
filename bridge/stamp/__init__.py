"""What the platform is told: the identity headers, the signed assertion, the keys behind it."""
