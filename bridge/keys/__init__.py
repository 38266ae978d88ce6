"""Every private key of the bridge: made, kept sealed in the state, rolled over, retired; and what comes to its end."""
