"""What the hotline says next: pure rules, no database, no network, no clock."""
