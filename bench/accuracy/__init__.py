"""How far reported times are from the truth when the CPU is the share that a small Lambda gets."""
