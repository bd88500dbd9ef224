"""OpenAPI: each version of the API, described by what serves it."""
