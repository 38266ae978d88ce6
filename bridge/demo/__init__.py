"""What `kombo-bridge demo` starts beside the bridge: an IdP, a platform, a page of launches to try."""
