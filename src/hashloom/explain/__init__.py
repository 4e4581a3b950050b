"""Why an answer is what it is: marks, tags and attention, pages."""
