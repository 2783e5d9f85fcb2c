"""The machines of a miner LAN as one group: found, told, watched, escalated."""
