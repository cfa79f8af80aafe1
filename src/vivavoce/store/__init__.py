"""What outlives a connection: sessions, ephemeral tokens, keys and quotas, behind one port."""
