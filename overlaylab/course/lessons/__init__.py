"""What the lessons ask: the tasks of their exercises and the questions of their quizzes."""
