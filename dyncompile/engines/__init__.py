"""Building engines: a network that a builder compiles for one kind of GPU."""
