"""Azure Text Analytics for Health: submit a document, poll its job, read entities."""
