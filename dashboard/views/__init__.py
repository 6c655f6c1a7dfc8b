"""Pages that only read: a client's and the operators'."""
