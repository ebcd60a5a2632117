"""Finding circuits: which heads of a language model do a task, by discrete codes, by gradients, and by trying every subset."""
