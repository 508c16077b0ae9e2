FROM corpus-image-that-nobody-has
