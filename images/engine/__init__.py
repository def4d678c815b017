"""Container engines, Docker or Podman: found, configured where they need it, and given images that we made."""
