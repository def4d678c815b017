"""Each family beside the library that its models come from."""
