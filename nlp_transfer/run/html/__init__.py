"""What HTML pages share: their shell, and the drawing of pictures."""
