"""The SageMaker container of a full-precision model."""
