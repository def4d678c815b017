"""The files of swagger-ui-dist that the API's page is made of: stacks stage them, and the router serves no others."""

# The media type of each, by its name.
DOCS_ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}
