"""The doors that programs knock on: webhooks, web chat, health."""
