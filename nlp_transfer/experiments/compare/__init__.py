"""Which encoder and strategy should be taken, how sure is that, and does the transfer pay?"""
