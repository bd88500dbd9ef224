"""What the API tells of itself: metrics for Prometheus, spans for OpenTelemetry."""
