"""What one probe costs: our engine beside its peers, each in a process of its own, against one target."""
