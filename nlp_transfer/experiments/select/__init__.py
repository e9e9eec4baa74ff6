"""Which encoder, and which of its layers, before anything is trained?"""
