"""How a message travels: one file a channel, nothing here knows the service behind it."""
