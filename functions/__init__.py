"""The code that runs in AWS, one folder per image."""
