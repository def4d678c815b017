"""Programs in the files of an image, apart from this machine: as the user of Lambda's functions, with its limits."""
