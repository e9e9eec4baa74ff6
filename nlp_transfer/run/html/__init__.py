"""What do pages for people have in common? Their shell, and how pictures in them are drawn."""
