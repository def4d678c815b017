"""REST APIs in templates: the types of their resources over moto, and their URLs."""
