"""The example models: where their weights come from, how the classifier is trained, and the demo."""
