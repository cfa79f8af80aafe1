"""Plain words shared by every layer. Imports nothing of ours but itself."""
