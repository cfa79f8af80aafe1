"""What listens, thinks and speaks, behind small typed ports."""
