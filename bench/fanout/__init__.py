"""The article's experiment and ours: a minute of 10,000 checks through each topology in the emulator."""
