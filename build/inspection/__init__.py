"""The comparison of an artefact's graphs with the reference's: `turnout inspect`."""
