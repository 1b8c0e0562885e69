"""A blinded reader study: images of two groups mixed, judged in the browser, and what the answers tell."""
