"""Azure Radiology Insights: a job with our own name, polled; inferences about one report."""
