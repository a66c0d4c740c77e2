"""What the law lets us work out in numbers: questions to ask, formula, figures, and the articles they rest on."""
