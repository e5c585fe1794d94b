"""Pictures of any size through a network: tiles, memory, and the guard over each."""
