"""What runs in AWS, one folder per image."""
