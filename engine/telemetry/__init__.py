"""What a process tells of itself: metrics for Prometheus, spans for OpenTelemetry.

Both are off unless the settings ask for them, and nothing of either is imported then.
"""
