"""AWS Comprehend Medical: one text in, entities with ranked codes out."""
