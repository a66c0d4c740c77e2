"""The service: one worker's message in, one reply out; tickets; the console."""
