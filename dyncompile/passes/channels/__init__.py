"""Which channels of which values are alive under a channel budget, and how they are cut out."""
