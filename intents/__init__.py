"""What a sentence means."""
