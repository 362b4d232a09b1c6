"""Published dynamic networks, as one would use them: convert, fit, calibrate, export."""
