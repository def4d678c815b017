"""The record of images that were made and pushed, by which a deployment knows whether they are of what it deploys."""
