"""What a learner does and is told: predictions, exercises, quizzes, verdicts and the record."""
