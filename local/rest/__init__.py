"""The emulated REST APIs of API Gateway: their events, and what functions stream through them."""
