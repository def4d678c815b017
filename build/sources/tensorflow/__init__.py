"""TensorFlow SavedModels and TFLite files, converted in an environment of their own."""
