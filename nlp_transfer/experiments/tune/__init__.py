"""Which options does a training run do best with?"""
