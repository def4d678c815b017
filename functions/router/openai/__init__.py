"""OpenAI's dialect of the API: completions and embeddings, as its clients send and read them."""
