"""The example models: their weights, the training of the classifier, and the demo."""
