"""The Lambda function of a quantized model."""
