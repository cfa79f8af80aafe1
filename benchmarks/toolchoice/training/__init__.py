"""What the router's likeness was tuned with: declarations and utterances of other tool sets."""
