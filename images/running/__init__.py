"""Made images, run on this machine under the limits that Lambda has."""
